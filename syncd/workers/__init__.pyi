from .pool import ProcessPool as ProcessPool, processors as processors

from .page import StatusPage as StatusPage

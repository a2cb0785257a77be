from .by_address import by_address as by_address, given_address as given_address
from .by_content import by_content as by_content
from .by_name import NAMES as NAMES, by_name as by_name
from .candidate import Candidate as Candidate, GivenAddress as GivenAddress
from .manifest_text import FoundFiles as FoundFiles, manifest_text as manifest_text, name_of as name_of

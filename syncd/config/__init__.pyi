from .api_access import ApiSettings as ApiSettings, Role as Role, Token as Token
from .changed_keys import changed_keys as changed_keys, flat_keys as flat_keys
from .credentials import Secret as Secret
from .load import (
    Config as Config,
    StoreSettings as StoreSettings,
    load_config as load_config,
    resolve_credential as resolve_credential,
)
from .locations import find_config as find_config, state_folder as state_folder, store_location as store_location
from .network import (
    is_internal as is_internal,
    network_plan as network_plan,
    plan_via as plan_via,
)
from .peers import PeerSettings as PeerSettings
from .secrets import expiry_of as expiry_of, read_secret as read_secret
from .serve import (
    FaceTlsSettings as FaceTlsSettings,
    PublisherSettings as PublisherSettings,
    ServeSettings as ServeSettings,
)
from .settings import BudgetSettings as BudgetSettings
from .sign_in import SignInSettings as SignInSettings
from .text_file import read_text_file as read_text_file
from .usage import NetworkOwner as NetworkOwner, UsageSettings as UsageSettings

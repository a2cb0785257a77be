from .i18n.translator import (
    LANGUAGES as LANGUAGES,
    TAGS as TAGS,
    Translator as Translator,
    choose as choose,
    load_words as load_words,
)
from .page import StatusPage as StatusPage
from .static import StaticFiles as StaticFiles

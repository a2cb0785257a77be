"""The page's texts in each language."""

"""One module for each family of rules; every module of this folder is found by itself."""

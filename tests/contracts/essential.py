"""The part of the contract of stores that is held on every dialect of S3, where all of it would take too long."""

from tests.contracts.store_contract import StoreContract, paths, read, upload

__all__ = ("EssentialContract", "paths", "read", "upload")

ESSENTIAL = (
    "test_what_was_put_is_read_back_and_described",
    "test_a_create_only_put_leaves_what_is_there",
    "test_a_read_is_bound_to_its_version",
    "test_move_and_copy_replace_and_can_be_repeated_after_a_crash",
    "test_a_create_only_commit_can_still_replace_afterwards",
    "test_a_file_in_place_is_invisible_before_its_commit_and_whole_after",
)


class EssentialContract:
    """Needs the fixtures of `StoreContract`."""

    async def settle(self, staged):
        """Wait until what was written has arrived."""
        await StoreContract().settle(staged)

    for _name in ESSENTIAL:
        locals()[_name] = getattr(StoreContract, _name)

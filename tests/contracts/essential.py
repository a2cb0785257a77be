"""The part of the contract of stores that is held on every dialect of S3, where all of it would take too long."""

from tests.contracts.store_contract import StoreContract, paths, read, upload

__all__ = ("EssentialContract", "paths", "read", "upload")

ESSENTIAL = (
    "test_what_was_put_is_read_back_and_described",
    "test_a_create_only_put_leaves_what_is_there",
    "test_a_read_is_bound_to_its_version",
    "test_move_and_copy_replace_and_can_be_repeated_after_a_crash",
    "test_parts_may_come_in_any_order_and_at_any_offset",
    "test_a_create_only_commit_can_still_replace_afterwards",
    "test_what_arrived_is_found_again_by_another_process",
    "test_what_is_discarded_is_gone",
    "test_a_lease_excludes_and_names_its_holder",
)


class EssentialContract:
    """Needs the fixtures of `StoreContract`."""

    settle, lease, unlock = StoreContract.settle, StoreContract.lease, StoreContract.unlock

    for _name in ESSENTIAL:
        locals()[_name] = getattr(StoreContract, _name)

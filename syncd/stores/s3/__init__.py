"""A store that is a bucket, or a part of one."""

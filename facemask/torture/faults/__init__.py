"""Stages that are killed, and stages that the disk refuses: start with `kills` and `disks`."""

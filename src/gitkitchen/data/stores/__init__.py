"""Stores: a folder, or a registry or bucket with a local cache before it."""

from __future__ import annotations

from gitkitchen.data.stores.contract import Store

__all__ = ["Store"]

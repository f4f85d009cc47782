"""From ``store:`` in kitchen.yml to the store of a kitchen."""

from __future__ import annotations

from collections.abc import Mapping

from gitkitchen.data.store import FolderStore
from gitkitchen.data.stores.contract import Remote, Store
from gitkitchen.data.stores.guarded import Door, GuardedRemote
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.kitchen.stores import Address, parse_store
from gitkitchen.model import Kitchen, Project


def open_store(
    project: Project, kitchen: Kitchen, environ: Mapping[str, str], door: Door | None = None
) -> Store:
    """The store of a kitchen: of a folder, or remote behind a cache in ``.gitkitchen/cache/store``.

    Nothing is asked of the network before something is looked up. ``environ`` may hold logins; ``door`` says
    what becomes of a refusal, which is an error without it.
    """
    address = parse_store(project.store)
    if not address.remote:
        return FolderStore(project.store_root, namespace=kitchen.namespace, zone=kitchen.zone)
    from gitkitchen.data.stores.cached import CachedStore
    from gitkitchen.data.stores.lazy import LazyRemote

    environments = [environment_namespace(project, e) for e in project.environments]
    remote: Remote = LazyRemote(str(address), lambda: open_remote(address, environ))
    return CachedStore(
        project.store_root,
        GuardedRemote(remote, door) if door is not None else remote,
        namespace=kitchen.namespace,
        zone=kitchen.zone,
        environments=environments,
        project=project.id,
    )


def open_remote(address: Address, environ: Mapping[str, str]) -> Remote:
    """The other end of a store that is no folder. Imports what speaks to it."""
    if address.kind == "oci":
        from gitkitchen.data.stores.oci import OciRemote

        return OciRemote(address, environ)
    from gitkitchen.data.stores.objects import open_s3

    return open_s3(address)

import gc, os, pathlib, pytest
def fds():
    return [os.readlink(f'/proc/self/fd/{f}') for f in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{f}') and 'views.duckdb' in os.readlink(f'/proc/self/fd/{f}')]
def test_x(history_lake):
    lake=history_lake
    lake.log(lake.observation("005A", "2026-01-01"))
    lake.history()
    print('after', fds()); gc.collect(); print('gc', fds())
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager as M
    print('ENV', M._ENV)
    import dbt.adapters.duckdb.environments.local as L
    for o in gc.get_objects():
        if isinstance(o,L.LocalEnvironment):
            print('env alive', o.handle_count, o._keep_open, o.conn)
            for r in gc.get_referrers(o): print('  ref', type(r), str(r)[:200])
    import duckdb
    for o in gc.get_objects():
        if isinstance(o, L.DuckDBConnectionWrapper): print('wrapper', [str(type(r))+str(r)[:150] for r in gc.get_referrers(o)])

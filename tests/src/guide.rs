//! The code of the README and of the guide is compiled, and run where it talks to a server. Each
//! has an item of its own, so that a failure names the chapter.

macro_rules! documents {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!($file)]
        struct $name;
    )*};
}

documents! {
    Readme "../../README.md"
    Introduction "../../docs/src/introduction.md"
    FirstModel "../../docs/src/first-model.md"
    Columns "../../docs/src/columns.md"
    Keys "../../docs/src/keys.md"
    Queries "../../docs/src/queries.md"
    Web "../../docs/src/web.md"
    Writing "../../docs/src/writing.md"
    Expiry "../../docs/src/expiry.md"
    Schema "../../docs/src/schema.md"
    Testing "../../docs/src/testing.md"
    Production "../../docs/src/production.md"
    OnCluster "../../docs/src/cluster.md"
    Inside "../../docs/src/inside.md"
    Architecture "../../docs/src/architecture.md"
    FromRedisRs "../../docs/src/from-redis-rs.md"
    FromRedisOm "../../docs/src/from-redis-om.md"
    FromPython "../../docs/src/from-python.md"
    Rights "../../docs/src/rights.md"
    Reliability "../../docs/src/reliability.md"
    Tracing "../../docs/src/tracing.md"
    Servers "../../docs/src/servers.md"
    Comparison "../../docs/src/comparison.md"
    Pastebin "../../docs/src/pastebin.md"
    Versus "../../docs/src/versus.md"
    Orders "../../docs/src/orders.md"
}

//! Every key, every place of a problem, and what wins over what.

use std::{path::Path, time::Duration};

use super::*;
use crate::auth::{Pattern, Rule};

const EVERY_KEY: &str = r#"
[server]
listen = "0.0.0.0:50051"
admin_listen = "127.0.0.1:8081"
tls = { cert = "a.crt", key = "a.key", client_ca = "ca.crt" }
advertise = "grpc://node-7:50051"
drain_timeout = "20s"
ticket_ttl = "10m"
ticket_key_file = "/etc/flightcache/key"
max_streams = 7
max_connections = 70
stream_memory = "64MiB"
queue_timeout = "500ms"
stream_idle_timeout = "40s"
request_timeout = "3m"
allow_urls = ["s3://bucket/free/"]
[auth]
token_file = "tokens"
rule_file = "rules.toml"
issuer = "https://issuer/realm"
audience = "flightcache"
jwks_file = "jwks.json"
principal_claim = "email"
principal_prefix = "oidc:"
[[auth.rule]]
principal = "spark-*"
datasets = ["lineitem", "sales_*"]
[[auth.rule]]
principal = "ops"
datasets = ["*"]
actions = true
[cache]
memory = "4GiB"
headroom = 1073741824
disk = "100GiB"
dir = "/var/lib/flightcache"
max_fills = 8
footers = "32MiB"
fill_timeout = "1m"
[origin]
max_concurrent_requests = 9
coalesce_gap = "512KiB"
coalesce_max = "8MiB"
max_retries = 0
retry_timeout = "9s"
request_timeout = "8s"
stall_timeout = "3s"
footer_prefetch = "128KiB"
max_fragment_bytes = "1GiB"
decode_timeout = "7s"
[[dataset]]
name = "lineitem"
url = "abfss://tpch@account.dfs.core.windows.net/lineitem/"
format = "parquet"
revalidate_after = "6s"
[[dataset]]
name = "orders"
url = "file:///data/orders.parquet"
[[store]]
prefix = "abfss://tpch@account.dfs.core.windows.net"
options = { use_emulator = "true", account_key = "c2VjcmV0", timeout = 5, allow_http = true }
"#;

fn parse_with(
    text: &str,
    variables: &[(&str, &str)],
    flags: &Flags,
) -> Result<Config, Vec<String>> {
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(Path::new("fc.toml"), text, &environment, flags)
        .map_err(|Problems(all)| all.iter().map(Problem::to_string).collect())
}

fn parse(text: &str) -> Result<Config, Vec<String>> {
    parse_with(text, &[], &Flags::default())
}

#[test]
fn every_key_of_server_and_cache_is_read() {
    let config = parse(EVERY_KEY).unwrap();
    let seconds = Duration::from_secs;
    let server = ServerConfig {
        listen: "0.0.0.0:50051".parse().unwrap(),
        admin_listen: "127.0.0.1:8081".parse().unwrap(),
        tls: Some(TlsConfig {
            cert: "a.crt".into(),
            key: "a.key".into(),
            client_ca: Some("ca.crt".into()),
        }),
        advertise: Some("grpc://node-7:50051".to_owned()),
        drain_timeout: seconds(20),
        ticket_ttl: seconds(600),
        ticket_key_file: Some("/etc/flightcache/key".into()),
        max_streams: 7,
        max_connections: 70,
        stream_memory: 64 << 20,
        queue_timeout: Duration::from_millis(500),
        stream_idle_timeout: seconds(40),
        request_timeout: seconds(180),
        allow_urls: vec!["s3://bucket/free/".to_owned()],
    };
    assert_eq!(config.server, server);
    let cache = CacheConfig {
        memory: 4 << 30,
        headroom: Some(1 << 30),
        disk: 100 << 30,
        dir: Some("/var/lib/flightcache".into()),
        max_fills: 8,
        footers: Some(32 << 20),
        fill_timeout: seconds(60),
    };
    assert_eq!(config.cache, cache);
}

#[test]
fn every_key_of_auth_is_read() {
    let config = parse(EVERY_KEY).unwrap();
    let rule = |principal, datasets: &[&str], actions| Rule {
        principal: Pattern::parse(principal).unwrap(),
        datasets: datasets.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        actions,
    };
    let auth = AuthConfig {
        token_file: Some("tokens".into()),
        oidc: Some(OidcConfig {
            issuer: "https://issuer/realm".to_owned(),
            audience: vec!["flightcache".to_owned()],
            keys: KeysAt::File("jwks.json".into()),
            principal_claim: "email".to_owned(),
            principal_prefix: "oidc:".to_owned(),
        }),
        rules: vec![rule("spark-*", &["lineitem", "sales_*"], false), rule("ops", &["*"], true)],
        rule_file: Some("rules.toml".into()),
    };
    assert_eq!(config.auth, Some(auth));
}

#[test]
fn every_key_of_sql_is_read() {
    let text = "[cache]\nmemory = '1GiB'\n[sql]\nmemory = '128MiB'\nquery_memory = '32MiB'\n\
                spill = '2GiB'\nspill_dir = '/tmp/spill'\ntimeout = '90s'\nmax_queries = 3\n\
                partitions = 5";
    let config = parse(text).unwrap();
    let sql = SqlConfig {
        memory: Some(128 << 20),
        query_memory: Some(32 << 20),
        spill: Some(2 << 30),
        spill_dir: Some("/tmp/spill".into()),
        timeout: Duration::from_secs(90),
        max_queries: Some(3),
        partitions: Some(5),
    };
    assert_eq!(config.sql, sql);
    let settings = sql.settings(&config.cache);
    assert_eq!((settings.memory_bytes, settings.query_memory_bytes), (128 << 20, 32 << 20));
    assert_eq!((settings.spill_bytes, settings.partitions), (2 << 30, 5));
}

#[test]
fn queries_take_a_share_of_the_memory_and_spill_beside_the_cache() {
    let of = |text: &str| {
        let config = parse(text).unwrap();
        let settings = config.sql.settings(&config.cache);
        (settings.memory_bytes >> 20, settings.query_memory_bytes >> 20, settings.spill_folder)
    };
    assert_eq!(of("[cache]\nmemory = '4GiB'"), (1024, 512, None));
    assert_eq!(of("[cache]\nmemory = '32MiB'"), (64, 32, None));
    let spill = Some("/tmp/fc/spill".into());
    assert_eq!(of("[cache]\ndir = '/tmp/fc'"), (256, 128, spill));
    assert_eq!(of("[cache]\ndir = '/tmp/fc'\n[sql]\nspill = 0"), (256, 128, None));
    let problems = parse("[sql]\nspill = '1GiB'\nmemory = 5\ntimeout = '0s'\nquerry_memory = 1");
    for (problem, said) in problems.unwrap_err().iter().zip([
        "fc.toml:2: `spill` without a folder",
        "fc.toml:3: `memory`: 5 bytes are too few",
        "fc.toml:4: `timeout`: must not be 0",
        "fc.toml:5: unknown key `querry_memory` in sql; did you mean `query_memory`?",
    ]) {
        assert!(problem.starts_with(said), "{problem}");
    }
}

#[test]
fn every_key_of_origins_and_datasets_is_read() {
    let config = parse(EVERY_KEY).unwrap();
    let seconds = Duration::from_secs;
    let origin = OriginSettings {
        max_concurrent_requests: 9,
        coalesce_gap: 512 << 10,
        coalesce_max: 8 << 20,
        max_retries: 0,
        retry_timeout: seconds(9),
        request_timeout: seconds(8),
        stall_timeout: seconds(3),
        footer_prefetch: 128 << 10,
        max_fragment_bytes: 1 << 30,
        decode_timeout: seconds(7),
    };
    assert_eq!(config.origin, origin);
    let [lineitem, orders] = config.datasets.as_slice() else { panic!("{:?}", config.datasets) };
    assert_eq!((lineitem.name.as_str(), lineitem.revalidate_after), ("lineitem", seconds(6)));
    assert_eq!(
        (orders.url.as_str(), orders.revalidate_after),
        ("file:///data/orders.parquet", seconds(5))
    );
    let options = &config.stores[0].options;
    assert_eq!(options.get("account_key").map(String::as_str), Some("c2VjcmV0"));
    assert_eq!(options.get("timeout").map(String::as_str), Some("5"));
    assert_eq!(options.get("allow_http").map(String::as_str), Some("true"));
}

#[test]
fn defaults_suit_a_laptop() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!((config.cache.memory, config.cache.disk), (1 << 30, 0));
    assert_eq!(config.cache.headroom(), 256 << 20);
    assert_eq!(config.cache.fill_headroom(), (256 - 64 - 32) << 20);
    let small = parse("[cache]\nmemory = '32MiB'").unwrap().cache;
    assert_eq!((small.copies(), small.footers()), (32 << 20, 16 << 20));
    assert_eq!(small.fill_headroom(), 64 << 20);
    assert_eq!(parse("[cache]\nmemory = '32MiB'").unwrap().cache.headroom(), 64 << 20);
    assert_eq!(parse("[cache]\ndir = '/tmp/fc'").unwrap().cache.disk, 10 << 30);
    assert_eq!(parse("[cache]\ndir = '/tmp/fc'\ndisk = 0").unwrap().cache.disk, 0);
}

#[test]
fn every_problem_is_named_with_its_line() {
    let text = "[server]
lisen = \"0.0.0.0:50051\"
max_streams = 0
drain_timeout = 5
[server.tls]
cert = \"x\"
[auth]
token_file = \"x\"
[cache]
memory = \"1MiB\"
disk = \"1GiB\"
[[dataset]]
name = \"a b\"
url = \"ftp://host/x\"
[[dataset]]
name = \"twice\"
url = \"https://host/x?sig=c2VjcmV0\"
format = \"orc\"
[[dataset]]
url = \"s3://b/\"
colour = 1
[[store]]
prefix = \"s3://b\"
options = { key = [\"c2VjcmV0\"] }
[[dataset]]
name = \"again\"
url = \"s3://b/\"
[[dataset]]
name = \"again\"
url = \"s3://b/\"
";
    let expected = [
        (2, "unknown key `lisen` in server; did you mean `listen`?"),
        (3, "`max_streams`: must not be 0"),
        (4, "`drain_timeout`: not a duration"),
        (5, "`key` is missing in server.tls; name its PEM file"),
        (7, "no [[auth.rule]], so nobody may read anything; add one"),
        (10, "`memory`: 1048576 bytes are too few; give it at least 16MiB"),
        (11, "`disk` without `dir`"),
        (13, "`name`: `a b` is no name"),
        (14, "`url`: unknown scheme `ftp`"),
        (17, "`url`: credentials or a query in a URL; put credentials into [[store]] options"),
        (18, "`format`: `orc` is not supported"),
        (19, "`name` is missing in dataset; add it"),
        (21, "unknown key `colour` in dataset; known keys: name, url, format, revalidate_after"),
        (24, "`options`: option `key` is not a string"),
        (28, "dataset `again` is there twice"),
    ];
    let problems = parse(text).unwrap_err();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (line, message)) in problems.iter().zip(expected) {
        assert!(problem.starts_with(&format!("fc.toml:{line}: {message}")), "{line}: {problem}");
        assert!(!problem.contains("c2VjcmV0") && !problem.contains('\n'), "{problem}");
    }
}

#[test]
fn what_would_leave_a_door_open_or_shut_is_named_with_its_line() {
    const RULE: &str = "[[auth.rule]]\nprincipal = 'a'\ndatasets = ['*']\n";
    const TOKENS: &str = "[auth]\ntoken_file = 'x'\n";
    const OIDC: &str = "[auth]\nissuer = 'https://i'\n";
    for (text, expected) in [
        (format!("[auth]\n{RULE}"), "1: nobody can prove who it is; set `token_file`"),
        (TOKENS.to_owned(), "1: no [[auth.rule]], so nobody"),
        (
            format!("{TOKENS}rules = 1\n{RULE}"),
            "3: unknown key `rules` in auth; did you mean `rule`?",
        ),
        (format!("{TOKENS}rule = 1"), "3: not a list; write [[auth.rule]]"),
        (
            format!("{TOKENS}[[auth.rule]]\nprincipal = 'a'\n"),
            "3: `datasets` is missing in auth.rule",
        ),
        (format!("{TOKENS}[[auth.rule]]\ndatasets = []\n"), "3: `principal` is missing"),
        (format!("{TOKENS}{RULE}actions = 1"), "6: `actions`: not a flag; write true or false"),
        (format!("{TOKENS}{RULE}action = true"), "6: unknown key `action` in auth.rule"),
        (format!("{TOKENS}audience = 'x'\n{RULE}"), "3: `audience` without `issuer`"),
        (format!("{OIDC}{RULE}"), "2: `issuer` without `audience`"),
        (format!("{OIDC}audience = []\n{RULE}"), "3: `audience`: empty"),
        (
            format!("{OIDC}audience = 'x'\njwks_url = 'https://k'\njwks_file = 'k'\n{RULE}"),
            "5: `jwks_file` beside `jwks_url`",
        ),
        (OIDC.replace("https", "file"), "2: `issuer`: not a URL; write one as https://HOST"),
        (OIDC.replace("i'", "u:s3cr3t@i'"), "2: `issuer`: credentials or a fragment in a URL"),
        ("[server.tls]\nkey = 'x'".to_owned(), "1: `cert` is missing in server.tls"),
        ("[server.tls]\nca = 'x'".to_owned(), "2: unknown key `ca` in server.tls"),
        ("[server]\ntls = 1".to_owned(), "2: `tls` is not a table; write [server.tls]"),
        (
            "[server]\nadvertise = 'http://a:1'".to_owned(),
            "2: `advertise`: `http://a:1` is no node's",
        ),
    ] {
        let problems = parse(&text).unwrap_err();
        let found = problems.iter().any(|one| one.starts_with(&format!("fc.toml:{expected}")));
        assert!(found && !problems.join("").contains("s3cr3t"), "{expected}: {problems:?}");
    }
    let mutual = "[server.tls]\ncert = 'a'\nkey = 'b'\nclient_ca = 'c'\n[auth]\n";
    assert!(parse(&format!("{mutual}{RULE}")).is_ok());
    let from_environment =
        [("FLIGHTCACHE_SERVER__TLS__CERT", "c"), ("FLIGHTCACHE_SERVER__TLS__KEY", "k")];
    let config = parse_with("", &from_environment, &Flags::default()).unwrap();
    assert_eq!(config.server.tls.map(|tls| tls.cert), Some("c".into()));
}

#[test]
fn what_is_not_toml_is_named_with_its_line() {
    let problems = parse("[server]\nlisten = \n[cache]\nmemory = \"1GiB\nx = 1\n").unwrap_err();
    assert!(problems[0].starts_with("fc.toml:2: not TOML: "), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("fc.toml:4: ")), "{problems:?}");
    for (text, message) in [
        ("server = 1", "fc.toml:1: `server` is not a table"),
        ("dataset = 1", "fc.toml:1: not a list"),
        ("\ndataset = [1]", "fc.toml:2: not a table"),
        ("[[server]]", "fc.toml:1: `server` is not a table"),
        ("[server]\nlisten = 'a'\nlisten = 'b'", "fc.toml:3: not TOML: duplicate key"),
    ] {
        let problems = parse(text).unwrap_err();
        assert!(problems[0].starts_with(message), "{text}: {problems:?}");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let text = "[server]\nlisten = '1.1.1.1:1'\nmax_streams = 1\n[cache]\nmemory = '64MiB'";
    let variables = [
        ("FLIGHTCACHE_SERVER__LISTEN", "2.2.2.2:2"),
        ("FLIGHTCACHE_SERVER__MAX_STREAMS", "2"),
        ("FLIGHTCACHE_SERVER__ALLOW_URLS", "s3://a/, s3://b/"),
        ("FLIGHTCACHE_URL", "grpc://elsewhere:1"),
        ("FLIGHTCACHE_PORT", "tcp://10.0.0.1:1"),
    ];
    let mut flags = Flags::default();
    flags.set("--listen", "server.listen", "3.3.3.3:3");
    flags.dataset("a", "s3://bucket/a/");
    let config = parse_with(text, &variables, &flags).unwrap();
    assert_eq!(config.server.listen.to_string(), "3.3.3.3:3");
    assert_eq!(config.server.max_streams, 2);
    assert_eq!(config.cache.memory, 64 << 20);
    assert_eq!(config.server.allow_urls, ["s3://a/", "s3://b/"]);
    assert_eq!(config.datasets, [DatasetConfig::new("a", "s3://bucket/a/").unwrap()]);
}

#[test]
fn bad_variables_and_flags_are_named() {
    let variables = [
        ("FLIGHTCACHE_CACHE__MEMROY", "1GiB"),
        ("FLIGHTCACHE_CACHE__DISK", "much"),
        ("FLIGHTCACHE_DATASET__NAME", "x"),
    ];
    let mut flags = Flags::default();
    flags.set("--memory", "cache.memory", "1");
    flags.dataset("a b", "s3://b/");
    let problems = parse_with(EVERY_KEY, &variables, &flags).unwrap_err().join("\n");
    for named in [
        "FLIGHTCACHE_CACHE__MEMROY: unknown setting; did you mean `FLIGHTCACHE_CACHE__MEMORY`?",
        "FLIGHTCACHE_CACHE__DISK: `disk`: `much` is no size",
        "FLIGHTCACHE_DATASET__NAME: unknown setting; ",
        "--memory: `memory`: 1 bytes are too few",
        "--dataset: `a b` is no name",
    ] {
        assert!(problems.contains(named), "{named}\n{problems}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let config = parse(EVERY_KEY).unwrap();
    let environment: Environment =
        [("AWS_SECRET_ACCESS_KEY".to_owned(), "c2VjcmV0".to_owned())].into_iter().collect();
    let shown = format!("{config:?} {environment:?}");
    assert!(!shown.contains("c2VjcmV0"), "{shown}");
    assert!(shown.contains("account_key") && shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let file = Path::new("/nowhere/fc.toml");
    let missing = Config::load(Some(file), &Environment::default(), &Flags::default());
    assert!(missing.unwrap_err().to_string().starts_with("/nowhere/fc.toml: cannot be read"));
}

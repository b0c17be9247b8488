//! The house habits that neither rustc nor clippy hold, checked over the whole work tree.
//!
//! Every check is a function from text to offenders, `file:line: what`, so that the tests at the
//! end can show that it catches one.

#![expect(clippy::expect_used, reason = "a check that cannot read the tree has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES: usize = 500;
const ROOT_MODULES: usize = 16;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 9] = [
    ".git",
    ".venv",
    ".node",
    ".cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
    "target",
];

/// Which of our crates each crate may depend on: arrows point one way.
const ARROWS: [(&str, &[&str]); 7] = [
    ("cache", &[]),
    ("protocol", &["cache"]),
    ("connectors", &["cache"]),
    ("planner", &["cache", "connectors", "protocol"]),
    ("flight-server", &["cache", "connectors", "planner", "protocol"]),
    ("integration", &["flight-server"]),
    ("fuzz", &["cache", "protocol"]),
];

/// Packages, and every package whose name goes on after a hyphen, that only some crates name.
/// `flight-server` writes Parquet files for its command line and slows a store down for the demo;
/// `READERS` keeps it from reading with either. `planner` asks other nodes as a client.
const RESERVED: [(&str, &[&str]); 6] = [
    ("object_store", &["connectors", "flight-server"]),
    ("parquet", &["connectors", "flight-server"]),
    ("datafusion", &["planner"]),
    ("tonic", &["flight-server", "planner"]),
    ("axum", &["flight-server"]),
    ("arrow-flight", &["flight-server", "planner"]),
];

/// Names of clouds and of file format readers, which only `connectors` may say.
const READERS: [&str; 7] = [
    "AmazonS3",
    "MicrosoftAzure",
    "GoogleCloudStorage",
    "HttpBuilder",
    "ParquetObjectReader",
    "ParquetRecordBatchReader",
    "ParquetRecordBatchStream",
];

/// How code reads the environment or binds a port, which only `flight-server` may do.
const AMBIENT: [&str; 5] =
    ["env::var", "env::set_var", "env::remove_var", "TcpListener::bind", "UdpSocket::bind"];

/// Packages of which two versions would not exchange values.
const SINGLE: [&str; 8] = [
    "arrow",
    "arrow-array",
    "arrow-flight",
    "arrow-schema",
    "datafusion",
    "object_store",
    "parquet",
    "tonic",
];

/// Written in two halves, so that this file does not offend against itself.
const ALLOW: &str = concat!("[all", "ow(");
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
const CRATE_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

type Check = fn(&str, &str) -> Vec<String>;

#[test]
fn files_are_short() {
    hold(long_file, &matching(|path| matches!(extension(path), Some("rs" | "java"))));
}

#[test]
fn crate_roots_have_few_modules() {
    hold(crowded_root, &rust());
}

#[test]
fn modules_open_with_their_doc() {
    hold(missing_module_doc, &rust());
}

#[test]
fn exceptions_expire() {
    hold(lint_exception_for_ever, &rust());
}

#[test]
fn nothing_is_reexported_by_glob() {
    hold(glob_reexport, &rust());
}

#[test]
fn dependencies_point_one_way() {
    hold(wrong_arrow, &crate_manifests());
}

#[test]
fn only_connectors_names_a_cloud_or_a_reader() {
    hold(foreign_reader, &rust());
}

#[test]
fn only_flight_server_touches_environment_and_ports() {
    hold(ambient, &rust());
}

#[test]
fn crates_inherit_the_workspace_lints() {
    hold(own_lints, &crate_manifests());
}

#[test]
fn one_version_of_what_exchanges_values() {
    hold(duplicate_version, &matching(|path| path == "Cargo.lock"));
}

#[test]
fn unfinished_work_names_its_issue() {
    hold(unfinished, &matching(|path| is_code(path) || is_build_file(path)));
}

#[test]
fn build_files_name_no_host() {
    hold(host, &matching(is_build_file));
}

#[test]
fn files_name_no_machine() {
    hold(machine_path, &matching(|path| is_code(path) || is_build_file(path) || is_text(path)));
}

fn long_file(path: &str, text: &str) -> Vec<String> {
    let lines = production(path, text).lines().count();
    let limit = format!("{path}:{lines}: {lines} production lines, at most {FILE_LINES}");
    if lines > FILE_LINES { vec![limit] } else { vec![] }
}

fn crowded_root(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs") {
        return vec![];
    }
    let modules = production(path, text)
        .lines()
        .filter(|line| {
            let item = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub "));
            item.unwrap_or(line).starts_with("mod ")
        })
        .count();
    let limit = format!("{path}:1: {modules} modules at the crate root, at most {ROOT_MODULES}");
    if modules > ROOT_MODULES { vec![limit] } else { vec![] }
}

fn missing_module_doc(path: &str, text: &str) -> Vec<String> {
    if text.trim_start().starts_with("//! ") {
        return vec![];
    }
    vec![format!("{path}:1: does not open with a `//!` doc")]
}

fn lint_exception_for_ever(path: &str, text: &str) -> Vec<String> {
    lines_where(path, text, "write `expect(lint, reason)`, which expires", |line| {
        line.trim_start().starts_with('#') && line.contains(ALLOW)
    })
}

fn glob_reexport(path: &str, text: &str) -> Vec<String> {
    lines_where(path, text, "names what it re-exports", |line| {
        let line = line.trim_start();
        (line.starts_with("pub use ") || line.starts_with("pub(crate) use "))
            && (line.contains("::*") || line.contains("{*"))
    })
}

fn wrong_arrow(path: &str, text: &str) -> Vec<String> {
    let folder = path.split('/').next().unwrap_or_default();
    let Some((_, ours)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{path}:1: crate unknown to the table of arrows in tidy.rs")];
    };
    let mut offenders = vec![];
    for (line, name) in dependencies(text) {
        let forbidden = match name.strip_prefix("flightcache-") {
            Some(crate_name) => !ours.contains(&crate_name),
            None => RESERVED.iter().any(|(package, crates)| {
                let rest = name.strip_prefix(package);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                    && !crates.contains(&folder)
            }),
        };
        if forbidden {
            offenders.push(format!("{path}:{line}: {folder} may not depend on {name}"));
        }
    }
    offenders
}

fn foreign_reader(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("connectors/") {
        return vec![];
    }
    lines_where(path, production(path, text), "only connectors names this", |line| {
        READERS.iter().any(|name| code(line).contains(name))
    })
}

fn ambient(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("flight-server/") {
        return vec![];
    }
    let what = "only flight-server reads the environment or binds";
    lines_where(path, production(path, text), what, |line| {
        AMBIENT.iter().any(|call| code(line).contains(call))
    })
}

fn own_lints(path: &str, text: &str) -> Vec<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]");
    lines.next();
    if lines.next() == Some("workspace = true") {
        return vec![];
    }
    vec![format!("{path}:1: `[lints] workspace = true` is missing")]
}

fn duplicate_version(path: &str, text: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ")
            && SINGLE.contains(&name)
        {
            versions.entry(name).or_default().push(value.trim_matches('"'));
        }
    }
    versions
        .into_iter()
        .filter(|(_, found)| found.len() > 1)
        .map(|(name, found)| format!("{path}:1: {name} in versions {}", found.join(", ")))
        .collect()
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    lines_where(path, text, "name the issue, as in `(#12)`", |line| {
        let mut words = UNFINISHED.iter().filter_map(|word| line.split_once(word));
        words.any(|(_, rest)| {
            let number = rest.trim_start_matches(['(', ':', ' ']).strip_prefix('#');
            !number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

fn host(path: &str, text: &str) -> Vec<String> {
    lines_where(path, text, "packages are named, their registry is the client's setting", |line| {
        let line = line.replace(CRATE_INDEX, "").replace("http://127.0.0.1", "");
        line.contains("://") || line.contains("index-url") || line.contains("--registry")
    })
}

fn machine_path(path: &str, text: &str) -> Vec<String> {
    let here = root().to_string_lossy().into_owned();
    lines_where(path, text, "a path of one machine", |line| {
        line.contains(&format!("{here}/")) || HOMES.iter().any(|home| absolute(line, home))
    })
}

/// Whether `line` holds `path` with nothing before it that would make it relative.
fn absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '~' | '_' | '-' | '}'))
    })
}

/// What of a file is production code: nothing in tests and benches, else all before its tests.
fn production<'a>(path: &str, text: &'a str) -> &'a str {
    let parts: Vec<&str> = path.split('/').collect();
    if parts.iter().any(|part| matches!(*part, "tests" | "benches" | "tests.rs")) {
        return "";
    }
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn lines_where(path: &str, text: &str, what: &str, offends: impl Fn(&str) -> bool) -> Vec<String> {
    let numbered = text.lines().enumerate().filter(|(_, line)| offends(line));
    numbered.map(|(i, line)| format!("{path}:{}: {what}: {}", i + 1, line.trim())).collect()
}

/// Names under every dependencies table of a manifest, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = vec![];
    let mut inside = false;
    for (number, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((_, name)) = table.split_once("dependencies.") {
                found.push((number + 1, name));
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() && line.contains('=') {
                found.push((number + 1, name));
            }
        }
    }
    found
}

fn is_code(path: &str) -> bool {
    extension(path).is_some_and(|e| matches!(e, "rs" | "py" | "java" | "scala" | "sh" | "toml"))
}

fn is_text(path: &str) -> bool {
    extension(path).is_some_and(|e| matches!(e, "md" | "json" | "yaml" | "yml"))
}

fn is_build_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "pom.xml",
        "pyproject.toml",
        "requirements.txt",
        "setup",
    ];
    known.contains(&name) || path.starts_with(".ci/") || name == "Dockerfile"
}

fn extension(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(|extension| extension.to_str())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in a workspace").into()
}

fn rust() -> Vec<(String, String)> {
    matching(|path| extension(path) == Some("rs"))
}

fn crate_manifests() -> Vec<(String, String)> {
    matching(|path| path.ends_with("/Cargo.toml"))
}

/// Paths and texts of the files of the work tree that `wanted` picks; never none.
fn matching(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let root = root();
    let mut files = vec![];
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
                continue;
            }
            let inside = path.strip_prefix(&root).expect("below the root");
            let inside = inside.to_string_lossy().into_owned();
            if wanted(&inside) {
                files.push((inside, fs::read_to_string(&path).expect("text file")));
            }
        }
    }
    assert!(!files.is_empty(), "a check that looks at no file cannot fail");
    files
}

fn hold(check: Check, files: &[(String, String)]) {
    let mut offenders: Vec<String> =
        files.iter().flat_map(|(path, text)| check(path, text)).collect();
    offenders.sort();
    assert!(offenders.is_empty(), "\n{}\n", offenders.join("\n"));
}

/// Asserts that `check` refuses `bad` at `line` and lets `good` pass.
fn tells_apart(check: Check, path: &str, bad: &str, line: usize, good: &str) {
    let offenders = check(path, bad);
    let place = format!("{path}:{line}: ");
    assert!(offenders.iter().any(|found| found.starts_with(&place)), "{offenders:?}");
    assert_eq!(check(path, good), Vec::<String>::new());
}

#[test]
fn catches_long_files() {
    let long = "x\n".repeat(FILE_LINES + 1);
    let tested = format!("{}#[cfg(test)]\n{long}", "x\n".repeat(FILE_LINES));
    tells_apart(long_file, "a/src/b.rs", &long, FILE_LINES + 1, &tested);
    assert_eq!(long_file("a/src/b/tests.rs", &long), Vec::<String>::new());
    assert_eq!(long_file("a/tests/it/b.rs", &long), Vec::<String>::new());
}

#[test]
fn catches_crowded_roots() {
    let many = "mod a;\npub mod b;\n".repeat(ROOT_MODULES / 2);
    let more = format!("{many}pub(crate) mod c;\n");
    tells_apart(crowded_root, "a/src/lib.rs", &more, 1, &many);
}

#[test]
fn catches_missing_module_docs() {
    tells_apart(missing_module_doc, "a.rs", "use b;\n//! Late.\n", 1, "//! What it is.\n");
}

#[test]
fn catches_exceptions_for_ever() {
    let (outer, inner) = (format!("\n#{ALLOW}dead_code)]\n"), format!("\n#!{ALLOW}unused)]\n"));
    let good = "#[expect(dead_code, reason = \"...\")]\n";
    tells_apart(lint_exception_for_ever, "a.rs", &outer, 2, good);
    tells_apart(lint_exception_for_ever, "a.rs", &inner, 2, good);
}

#[test]
fn catches_glob_reexports() {
    tells_apart(glob_reexport, "a.rs", "pub use crate::b::*;\n", 1, "use super::*;\n");
    tells_apart(glob_reexport, "a.rs", "  pub(crate) use b::{*, c};\n", 1, "pub use b::c;\n");
}

#[test]
fn catches_wrong_arrows() {
    let up = "[package]\nname = \"x\"\n[dependencies]\nflightcache-planner.workspace = true\n";
    let down = "[dependencies]\nflightcache-cache = { path = \"../cache\" }\narrow = \"59\"\n";
    tells_apart(wrong_arrow, "connectors/Cargo.toml", up, 4, down);
    let table = "[dev-dependencies.datafusion-common]\nversion = \"55\"\n";
    tells_apart(wrong_arrow, "cache/Cargo.toml", table, 1, "[package]\ndatafusion = 1\n");
    let target = "[target.'cfg(unix)'.dependencies]\nparquet = \"59\"\n";
    tells_apart(wrong_arrow, "planner/Cargo.toml", target, 2, "[dependencies]\nparquetry = \"1\"");
    assert_eq!(wrong_arrow("unknown/Cargo.toml", "").len(), 1);
}

#[test]
fn catches_foreign_readers_and_ambient_calls() {
    let reader = "fn a() {\n    ParquetRecordBatchReaderBuilder::new();\n}\n";
    let tested = format!("#[cfg(test)]\n{reader}");
    tells_apart(foreign_reader, "planner/src/a.rs", reader, 2, &tested);
    assert_eq!(foreign_reader("connectors/src/a.rs", reader), Vec::<String>::new());
    let ambient_call = "let a = std::env::var(\"A\");\n";
    tells_apart(ambient, "cache/src/a.rs", ambient_call, 1, "// not env::var\nenv!(\"A\");\n");
    assert_eq!(ambient("flight-server/src/a.rs", ambient_call), Vec::<String>::new());
}

#[test]
fn catches_own_lints() {
    let good = "[package]\n[lints]\nworkspace = true\n";
    tells_apart(own_lints, "a/Cargo.toml", "[lints]\nrust.unused = \"allow\"\n", 1, good);
    tells_apart(own_lints, "a/Cargo.toml", "[package]\n", 1, good);
}

#[test]
fn catches_duplicate_versions() {
    let one = "[[package]]\nname = \"tonic\"\nversion = \"0.14.1\"\n";
    let two = format!("{one}{}", one.replace("14.1", "13.0"));
    let other = format!("{one}{}", one.replace("tonic", "tonic-prost"));
    tells_apart(duplicate_version, "Cargo.lock", &two, 1, &other);
}

#[test]
fn catches_unfinished_work() {
    for word in UNFINISHED {
        let (bad, good) = (format!("\n// {word}: later\n"), format!("// {word}(#12): later\n"));
        tells_apart(unfinished, "a.rs", &bad, 2, &good);
    }
}

#[test]
fn catches_hosts_and_machine_paths() {
    let good = format!("source = \"{CRATE_INDEX}\"\n");
    tells_apart(host, "Cargo.lock", "source = \"registry+https://example.org/i\"\n", 1, &good);
    tells_apart(host, "a/pom.xml", "<project xmlns=\"http://example.org\">\n", 1, "<project>\n");
    tells_apart(host, "requirements.txt", "--index-url x\n", 1, "pytest==1\n");
    let here = format!("\nPATH={}/bin\n", root().display());
    tells_apart(machine_path, "a.sh", &here, 2, "PATH=/usr/bin\n");
    for home in HOMES {
        let (bad, good) = (format!("cd {home}me\n"), format!("cd a{home}me\n"));
        tells_apart(machine_path, "a.sh", &bad, 1, &good);
    }
}

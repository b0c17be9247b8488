//! Command lines, formats on batches, error lines, and commands against a node in this process.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray},
    datatypes::{Int32Type, SchemaRef},
    ipc::reader::{FileReader, StreamReader},
};

use super::{destination::Destination, format::sink, *};
use crate::config::{Config, Environment};

mod node;

/// Output kept in memory.
#[derive(Clone, Default)]
pub(super) struct Captured {
    out: Kept,
    err: Kept,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Captured {
    pub(super) fn output(&self) -> Output {
        Output::to(self.out.clone(), self.err.clone())
    }

    pub(super) fn out(&self) -> String {
        String::from_utf8(self.out.bytes()).unwrap()
    }

    pub(super) fn err(&self) -> String {
        String::from_utf8(self.err.bytes()).unwrap()
    }
}

fn parse_words(line: &str, terminal: bool) -> std::result::Result<Cli, clap::Error> {
    parse_from(line.split_whitespace(), terminal)
}

fn batch() -> RecordBatch {
    let flags: DictionaryArray<Int32Type> = [Some("N"), None, Some("N")].into_iter().collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec![Some("a,b"), None, Some("c")]))),
        ("flag", Arc::new(flags)),
    ])
    .unwrap()
}

fn written(format: Format, batches: &[RecordBatch], schema: &SchemaRef) -> Vec<u8> {
    let captured = Captured::default();
    let mut destination = Destination::open(None, &captured.output()).unwrap();
    let mut sink = sink(format, schema, &mut destination).unwrap();
    for batch in batches {
        sink.write(batch).unwrap();
    }
    sink.finish().unwrap();
    destination.commit().unwrap();
    captured.out.bytes()
}

#[test]
fn every_command_is_understood() {
    for line in [
        "flightcache serve",
        "flightcache serve --config a.toml --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
         --cache-dir /tmp/x --memory 64MiB --disk 1GiB --dataset a=s3://b/a/ --dataset b=s3://b/b/",
        "flightcache demo --scale 0.01 --keep --listen 127.0.0.1:0 --latency-ms 5",
        "flightcache scan lineitem --columns a,b --filter a>1 --limit 3 --format csv --output x.csv",
        "flightcache scan lineitem --url grpc://node:1 --token t",
        "flightcache datasets",
        "flightcache warm lineitem --columns a,b --filter a>1",
        "flightcache refresh lineitem",
        "flightcache evict lineitem",
        "flightcache stats --format json",
        "flightcache top --once",
        "flightcache config check a.toml",
        "flightcache scan lineitem --format parquet --output x.parquet",
    ] {
        assert!(parse_words(line, true).is_ok(), "{line}");
    }
}

#[test]
fn nonsense_is_a_usage_error() {
    for (line, terminal) in [
        ("flightcache", false),
        ("flightcache sarve", false),
        ("flightcache scan", false),
        ("flightcache scan a --format xml", false),
        ("flightcache scan a --limit many", false),
        ("flightcache scan a --url node:1", false),
        ("flightcache scan a --format parquet", true),
        ("flightcache serve --memory lots", false),
        ("flightcache serve --listen here", false),
        ("flightcache serve --dataset lineitem", false),
        ("flightcache serve --dataset a/b=s3://b/", false),
        ("flightcache demo --scale -1", false),
    ] {
        let error = parse_words(line, terminal).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(USAGE), "{line}: {error}");
    }
    let line = usage_line(&parse_words("flightcache scan a --lmit 3", false).unwrap_err());
    assert!(line.starts_with("flightcache: usage: unexpected argument '--lmit' found"), "{line}");
    assert!(line.contains("'--limit'") && !line.contains('\n'), "{line}");
    assert_eq!(parse_words("flightcache --version", false).unwrap_err().exit_code(), 0);
    assert!(parse_words("flightcache scan a --format parquet", false).is_ok());
}

#[test]
fn flags_of_serve_win_over_the_environment() {
    let line = "flightcache serve --listen 127.0.0.1:7 --memory 32MiB --dataset a=s3://b/a/";
    let Command::Serve(args) = parse_words(line, false).unwrap().command else { panic!() };
    let environment: Environment =
        [("FLIGHTCACHE_SERVER__LISTEN".to_owned(), "127.0.0.1:8".to_owned())].into_iter().collect();
    let config = Config::load(None, &environment, &args.flags()).unwrap();
    assert_eq!(config.server.listen.port(), 7);
    assert_eq!(config.cache.memory, 32 << 20);
    assert_eq!(config.datasets[0].name, "a");
}

#[test]
fn the_url_comes_from_the_flag_then_the_environment() {
    let environment: Environment =
        [("FLIGHTCACHE_URL".to_owned(), "grpc://b:2".to_owned())].into_iter().collect();
    for (line, environment, url) in [
        ("flightcache stats --url grpc://a:1", &environment, "grpc://a:1"),
        ("flightcache stats", &environment, "grpc://b:2"),
        ("flightcache stats", &Environment::default(), crate::client::DEFAULT_URL),
    ] {
        let line = format!("{line} --token s3cret");
        let Command::Client(command) = parse_words(&line, false).unwrap().command else { panic!() };
        assert!(!format!("{command:?}").contains("s3cret"));
        assert_eq!(command.connection().connection(environment).unwrap().url(), url);
    }
}

#[test]
fn the_name_of_the_file_tells_the_format() {
    for (line, format) in [
        ("flightcache scan a --output x.parquet", Format::Parquet),
        ("flightcache scan a --output x.jsonl", Format::Json),
        ("flightcache scan a --output x.parquet --format csv", Format::Csv),
        ("flightcache scan a --output x", Format::Table),
        ("flightcache scan a", Format::Table),
    ] {
        let command = parse_words(line, true).unwrap().command;
        let Command::Client(ClientCommand::Scan(scan)) = command else { panic!() };
        assert_eq!(scan.rows.format(), format, "{line}");
    }
}

#[test]
fn text_formats_write_what_is_there() {
    let batch = batch();
    let text =
        |format| String::from_utf8(written(format, std::slice::from_ref(&batch), &batch.schema()));
    assert_eq!(text(Format::Csv).unwrap(), "id,name,flag\n1,\"a,b\",N\n2,,\n3,c,N\n");
    let json = "{\"id\":1,\"name\":\"a,b\",\"flag\":\"N\"}\n{\"id\":2}\n\
                {\"id\":3,\"name\":\"c\",\"flag\":\"N\"}\n";
    assert_eq!(text(Format::Json).unwrap(), json);
    let table = text(Format::Table).unwrap();
    assert!(table.contains("| 1  | a,b  | N    |"), "{table}");
}

#[test]
fn binary_formats_read_back_equal() {
    let batch = batch();
    let stream = written(Format::Arrow, &[batch.clone(), batch.clone()], &batch.schema());
    let read: Vec<_> = StreamReader::try_new(io::Cursor::new(stream), None).unwrap().collect();
    assert_eq!(
        read.into_iter().map(std::result::Result::unwrap).collect::<Vec<_>>(),
        [batch.clone(), batch.clone()]
    );
    let parquet = written(Format::Parquet, std::slice::from_ref(&batch), &batch.schema());
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn no_rows_still_have_columns() {
    let schema = batch().schema();
    let csv = String::from_utf8(written(Format::Csv, &[], &schema)).unwrap();
    assert_eq!(csv, "id,name,flag\n");
    let table = String::from_utf8(written(Format::Table, &[], &schema)).unwrap();
    assert!(table.contains("| id | name | flag |"), "{table}");
    let stream = written(Format::Arrow, &[], &schema);
    assert_eq!(StreamReader::try_new(io::Cursor::new(stream), None).unwrap().schema(), schema);
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.arrow");
    let (batch, captured) = (batch(), Captured::default());
    let open = || Destination::open(Some(&path), &captured.output()).unwrap();
    let mut dropped = open();
    let mut unfinished = sink(Format::Arrow, &batch.schema(), &mut dropped).unwrap();
    unfinished.write(&batch).unwrap();
    drop(unfinished);
    drop(dropped);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut destination = open();
    let mut finished = sink(Format::Arrow, &batch.schema(), &mut destination).unwrap();
    finished.write(&batch).unwrap();
    finished.finish().unwrap();
    destination.commit().unwrap();
    let mut read = FileReader::try_new(std::fs::File::open(&path).unwrap(), None).unwrap();
    assert_eq!(read.next().unwrap().unwrap(), batch);
    for unwritable in [folder.path().to_owned(), folder.path().join("no/such/folder")] {
        let Err(error) = Destination::open(Some(&unwritable), &captured.output()) else { panic!() };
        assert!(error.message().contains("cannot be written"), "{error}");
    }
}

#[test]
fn an_error_is_one_line_with_what_to_do() {
    for (error, line) in [
        (Error::stale("object a moved on"), "Stale: object a moved on; run the command again"),
        (Error::unavailable("no server; start one"), "Unavailable: no server; start one"),
        (Error::invalid("a\nb"), "Invalid: a b"),
    ] {
        assert_eq!(error_line(&error), format!("flightcache: {line}"));
    }
    let captured = Captured::default();
    let code = conclude(Err(Error::data("broken")), &mut captured.output());
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(captured.err(), "flightcache: Data: broken; repair or remove the object\n");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let err = Kept::default();
    let mut output = Output::to(Closed, err.clone());
    let result = output.line("x");
    assert!(result.is_err());
    let code = conclude(result, &mut output);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert!(err.bytes().is_empty());
}

#[test]
fn config_check_lists_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fc.toml");
    std::fs::write(&path, "[server]\nlisen = 1\n[cache]\nmemory = true\n").unwrap();
    let captured = Captured::default();
    let line = format!("flightcache config check {}", path.display());
    let Command::Config(check_args) = parse_words(&line, false).unwrap().command else { panic!() };
    let error = check::run(&check_args, &mut captured.output()).unwrap_err();
    assert!(error.message().contains("fc.toml has 2 problems"), "{error}");
    let err = captured.err();
    assert!(err.contains("fc.toml:2: unknown key") && err.contains("fc.toml:4: `memory`"), "{err}");
    std::fs::write(&path, "").unwrap();
    check::run(&check_args, &mut captured.output()).unwrap();
    let Command::Serve(args) = parse_words("flightcache serve --memory 1", false).unwrap().command
    else {
        panic!()
    };
    let quiet = Captured::default();
    let error = check::load(&args, &Environment::default(), &mut quiet.output()).unwrap_err();
    assert!(error.message().starts_with("--memory: `memory`: 1 bytes are too few"), "{error}");
    assert_eq!(quiet.err(), "");
    assert!(captured.out().ends_with("fc.toml: correct, 0 datasets\n"));
}

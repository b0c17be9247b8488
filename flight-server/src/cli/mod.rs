//! The command line: what can be said, and how failures are told.

mod arguments;
pub mod check;
pub mod client;
mod destination;
mod format;
mod output;
mod report;
mod rows;
mod scan;
mod sql;
#[cfg(test)]
mod tests;
mod top;
mod units;
mod warm;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind as UsageError};
use flightcache_cache::{Error, ErrorKind, Result};

pub use arguments::{
    ConfigArgs, ConfigCommand, ConnectionArgs, DatasetArgs, DemoArgs, Format, NodeArgs,
    ReportFormat, RowsArgs, ScanArgs, ServeArgs, SqlArgs, StatsArgs, TopArgs, WarmArgs,
};
pub use output::Output;

/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// A columnar cache for Parquet in Blob storage, served over Arrow Flight.
#[derive(Debug, Parser)]
#[command(name = "flightcache", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(ServeArgs),
    /// Serve generated data from a store with imitated latency, and read it cold and warm
    Demo(DemoArgs),
    /// Look at a configuration
    Config(ConfigArgs),
    /// Ask a node.
    #[command(flatten)]
    Client(ClientCommand),
}

/// What is asked of a running node.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Read rows of a dataset
    Scan(ScanArgs),
    /// Run a SQL query over the datasets
    Sql(SqlArgs),
    /// List the datasets
    Datasets(NodeArgs),
    /// Fill a dataset's chunks before anybody reads them
    Warm(WarmArgs),
    /// List a dataset's objects again
    Refresh(DatasetArgs),
    /// Drop a dataset's chunks from memory and disk
    Evict(DatasetArgs),
    /// Show the node's figures
    Stats(StatsArgs),
    /// Watch the node's figures
    Top(TopArgs),
}

impl ClientCommand {
    /// Which node is asked.
    pub fn connection(&self) -> &ConnectionArgs {
        match self {
            Self::Scan(args) => &args.connection,
            Self::Sql(args) => &args.connection,
            Self::Datasets(args) => &args.connection,
            Self::Warm(args) => &args.connection,
            Self::Refresh(args) | Self::Evict(args) => &args.connection,
            Self::Stats(args) => &args.connection,
            Self::Top(args) => &args.connection,
        }
    }
}

/// Reads the command line of this process.
///
/// # Errors
/// The code to exit with: 0 after help and version, 2 for a command line that makes no sense;
/// whatever was to be said has been said.
pub fn parse() -> std::result::Result<Cli, ExitCode> {
    let mut output = Output::standard();
    parse_from(std::env::args_os(), output.is_terminal()).map_err(|error| match error.kind() {
        UsageError::DisplayHelp
        | UsageError::DisplayVersion
        | UsageError::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody is left to tell if it cannot be written.
            drop(error.print());
            if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
        }
        _ => {
            output.note(usage_line(&error));
            ExitCode::from(USAGE)
        }
    })
}

/// One line of clap's several: what was wrong and its tips, without the usage text.
fn usage_line(error: &clap::Error) -> String {
    let told = error.to_string();
    let lines = told.lines().take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines
        .filter(|line| !line.starts_with("For more information"))
        .flat_map(str::split_whitespace)
        .collect();
    let message = words.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    format!("flightcache: usage: {message}; see `flightcache help`")
}

/// As [`parse`] for any arguments; `terminal` says whether stdout is one.
fn parse_from<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    terminal: bool,
) -> std::result::Result<Cli, clap::Error> {
    let cli = Cli::try_parse_from(arguments)?;
    let rows = match &cli.command {
        Command::Client(ClientCommand::Scan(scan)) => Some(&scan.rows),
        Command::Client(ClientCommand::Sql(sql)) => Some(&sql.rows),
        _ => None,
    };
    let binary = rows.is_some_and(|rows| rows.output.is_none() && rows.format().is_binary());
    if terminal && binary {
        let message = "a binary format does not go to a terminal; give --output FILE or a pipe";
        return Err(Cli::command().error(UsageError::ArgumentConflict, message));
    }
    Ok(cli)
}

/// Tells a failure on one line of stderr; the code to exit with, 0 or 1.
///
/// A reader that closed the pipe has what it wanted: that is no failure.
pub fn conclude(result: Result<()>, output: &mut Output) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if output.broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output.note(error_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// One line: the kind, what was wrong, and what to do.
///
/// Messages that already say what to do, after a semicolon, are left as they are.
pub fn error_line(error: &Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let advice = match error.kind() {
        _ if message.contains("; ") => "",
        ErrorKind::Invalid => "",
        ErrorKind::NotFound => "; `flightcache datasets` lists what there is",
        ErrorKind::Denied => "; ask for the right to, or use another token",
        ErrorKind::Unauthenticated => "; give --token or FLIGHTCACHE_TOKEN",
        ErrorKind::Stale => "; run the command again",
        ErrorKind::Exhausted => "; wait a little and run the command again",
        ErrorKind::Unavailable => "; try again later",
        ErrorKind::Data => "; repair or remove the object",
        ErrorKind::Internal => "; please report it with the log of the server",
    };
    format!("flightcache: {}: {message}{advice}", error.kind().name())
}

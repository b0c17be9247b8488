//! The `flightcache` binary: reads the command line and the environment, and calls the library.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use flightcache_cache::Result;
use flightcache_flight_server::{
    cli::{self, Cli, Command, Output, ServeArgs},
    config::Environment,
    demo, serve, telemetry,
};

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut output = Output::standard();
    let result = run(&cli, &Environment::read(), &mut output);
    cli::conclude(result, &mut output)
}

fn run(cli: &Cli, environment: &Environment, output: &mut Output) -> Result<()> {
    match &cli.command {
        Command::Serve(args) => run_node(args, environment, output),
        Command::Demo(args) => {
            telemetry::init(environment.log_filter().or(Some("warn")), io::stderr().is_terminal())?;
            demo::run(args, output)
        }
        Command::Config(args) => cli::check::run(args, output),
        Command::Client(command) => {
            serve::io_runtime()?.block_on(cli::client::run(command, environment, output))
        }
    }
}

fn run_node(args: &ServeArgs, environment: &Environment, output: &mut Output) -> Result<()> {
    telemetry::init(environment.log_filter(), io::stderr().is_terminal())?;
    let config = cli::check::load(args, environment, output)?;
    serve::run(&config, output)
}

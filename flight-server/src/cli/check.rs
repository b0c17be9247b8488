//! Reading a configuration on the command line: every bad key, each on a line with its place.

use flightcache_cache::{Error, Result};

use super::{
    arguments::{ConfigArgs, ConfigCommand, ServeArgs},
    output::Output,
};
use crate::config::{Config, Environment, Flags, Problems};

/// The configuration of a node, from its file, the environment and its flags.
///
/// # Errors
/// `Invalid` for the only problem, or counting several, each of which has been written to stderr.
pub fn load(args: &ServeArgs, environment: &Environment, output: &mut Output) -> Result<Config> {
    Config::load(args.config.as_deref(), environment, &args.flags()).map_err(|Problems(all)| {
        if let [only] = all.as_slice() {
            return Error::invalid(only.to_string());
        }
        refused("the configuration", &Problems(all), output)
    })
}

/// `config check FILE`: checks a file alone, without the environment, so that the same file
/// answers the same everywhere.
///
/// # Errors
/// `Invalid` counting the problems, each of which has been written to stderr.
pub fn run(args: &ConfigArgs, output: &mut Output) -> Result<()> {
    let ConfigCommand::Check { file } = &args.command;
    let name = file.display().to_string();
    let config = Config::load(Some(file), &Environment::default(), &Flags::default())
        .map_err(|problems| refused(&name, &problems, output))?;
    output.line(format!("{name}: correct, {} datasets", config.datasets.len()))
}

fn refused(what: &str, problems: &Problems, output: &mut Output) -> Error {
    output.note(problems);
    Error::invalid(format!("{what} has {} problems; see above", problems.0.len()))
}

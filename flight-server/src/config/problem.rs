//! What is wrong with a configuration: every problem, each on a line with its place and its remedy.

use std::{error::Error as StdError, fmt, ops::Range, path::Path};

/// One wrong key or value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: `FILE:LINE`, the name of an environment variable, or a flag.
    pub place: String,
    /// What is wrong there and what to do about it; never a value that may be secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every problem of a configuration, in the order of the file; displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl StdError for Problems {}

/// A configuration file's name and where its lines start, to turn byte spans into places.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    file: String,
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file: path.display().to_string(),
            starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(),
        }
    }

    /// `FILE:LINE` of the start of `span`; lines count from 1.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        let line = self.starts.partition_point(|start| *start <= span.start);
        format!("{}:{line}", self.file)
    }
}

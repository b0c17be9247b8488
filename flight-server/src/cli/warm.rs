//! `flightcache warm`: a bar on a terminal, a line every tenth elsewhere, and every failure named.

use flightcache_cache::{Error, Result};
use flightcache_protocol::{Action, WarmProgress, WarmReply, WarmRequest, WarmSummary};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::{arguments::WarmArgs, output::Output, units::bytes};
use crate::client::Client;

pub(super) async fn run(args: &WarmArgs, client: &Client, output: &mut Output) -> Result<()> {
    let request = WarmRequest {
        dataset: args.dataset.clone(),
        columns: args.columns.clone(),
        filter: args.filter.clone(),
    };
    let mut replies = client.act::<WarmReply>(Action::Warm, &request).await?;
    let mut shown = Shown::new(output);
    while let Some(reply) = replies.try_next().await? {
        match reply {
            WarmReply::Progress(progress) => shown.advance(&progress, output),
            WarmReply::Summary(summary) => {
                shown.clear();
                return conclude(&args.dataset, &summary, output);
            }
        }
    }
    Err(Error::unavailable(format!("warming `{}` ended without a summary", args.dataset)))
}

fn conclude(dataset: &str, summary: &WarmSummary, output: &mut Output) -> Result<()> {
    let WarmSummary { fragments, bytes: filled, failures } = summary;
    for failure in failures {
        let object = &failure.object;
        output.note(format!("{object} row group {}: {}", failure.row_group, failure.error));
    }
    if failures.is_empty() {
        return output.line(format!("warm {dataset}: {fragments} fragments, {}", bytes(*filled)));
    }
    Err(Error::unavailable(format!(
        "{} of {fragments} fragments of `{dataset}` failed; mend what is named above and run it again",
        failures.len()
    )))
}

/// How progress is shown.
enum Shown {
    Bar(ProgressBar),
    /// Tenths that were told.
    Lines(u64),
}

impl Shown {
    fn new(output: &Output) -> Self {
        if !output.notes_are_seen() {
            return Self::Lines(0);
        }
        let template = "{bar:40} {pos}/{len} fragments {msg} {elapsed} (left: {eta})";
        let style = ProgressStyle::with_template(template);
        Self::Bar(ProgressBar::new(0).with_style(style.unwrap_or(ProgressStyle::default_bar())))
    }

    fn advance(&mut self, progress: &WarmProgress, output: &mut Output) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.of);
                bar.set_message(bytes(progress.bytes));
                bar.set_position(progress.fragments);
            }
            Self::Lines(told) => {
                let tenths = (progress.fragments * 10).checked_div(progress.of).unwrap_or(10);
                if tenths > *told {
                    *told = tenths;
                    let WarmProgress { fragments, of, bytes: filled } = progress;
                    output.note(format!("{fragments}/{of} fragments, {}", bytes(*filled)));
                }
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use flightcache_protocol::FillFailure;

    use super::*;
    use crate::cli::tests::Captured;

    #[test]
    fn tenths_are_told_once() {
        let captured = Captured::default();
        let mut output = captured.output();
        let mut shown = Shown::new(&output);
        for fragments in 0..=40 {
            shown.advance(&WarmProgress { fragments, of: 40, bytes: fragments << 20 }, &mut output);
        }
        let told = captured.err();
        assert_eq!(told.lines().count(), 10, "{told}");
        assert!(told.starts_with("4/40 fragments, 4.0 MiB\n"), "{told}");
        assert!(told.ends_with("40/40 fragments, 40.0 MiB\n"), "{told}");
    }

    #[test]
    fn every_failure_is_named_and_the_command_fails() {
        let captured = Captured::default();
        let failures = vec![FillFailure {
            object: "a/b.parquet".to_owned(),
            row_group: 3,
            error: "truncated".to_owned(),
        }];
        let summary = WarmSummary { fragments: 7, bytes: 0, failures };
        let error = conclude("lineitem", &summary, &mut captured.output()).unwrap_err();
        assert!(error.message().starts_with("1 of 7 fragments of `lineitem` failed"), "{error}");
        assert_eq!(captured.err(), "a/b.parquet row group 3: truncated\n");
        let summary = WarmSummary { fragments: 7, bytes: 2048, failures: Vec::new() };
        conclude("lineitem", &summary, &mut captured.output()).unwrap();
        assert_eq!(captured.out(), "warm lineitem: 7 fragments, 2.0 KiB\n");
    }
}

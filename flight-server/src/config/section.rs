//! Reads sections of the file with the overrides laid over them, and collects every problem.

use toml::de::{DeTable, DeValue};

use super::{
    problem::{Lines, Problem, Problems},
    suggest::nearest,
    value::{Given, Reading},
};

/// Keys that CONTRACT.md names and this version does not have.
const PLANNED: [&str; 1] = ["cluster"];

/// A value from an environment variable or a flag, laid over the file.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// Name of the variable or the flag.
    pub(super) place: String,
    /// `SECTION.KEY`.
    pub(super) setting: String,
    pub(super) text: String,
}

/// The parsed file, the overrides, and what was found wrong so far.
#[derive(Debug)]
pub(super) struct Reader {
    lines: Lines,
    overrides: Vec<(Override, bool)>,
    settings: Vec<String>,
    problems: Vec<(usize, Problem)>,
}

impl Reader {
    /// Overrides win over the file, and later ones over earlier ones.
    pub(super) fn new(lines: Lines, overrides: Vec<Override>) -> Self {
        let overrides = overrides.into_iter().map(|laid| (laid, false)).collect();
        Self { lines, overrides, settings: Vec::new(), problems: Vec::new() }
    }

    /// Notes a problem at a byte offset of the file.
    pub(super) fn problem_at(&mut self, offset: usize, message: impl Into<String>) {
        let place = self.lines.place(&(offset..offset));
        self.problems.push((offset, Problem { place, message: message.into() }));
    }

    /// Notes a problem of an override; those come after the file's.
    pub(super) fn problem_of(&mut self, place: &str, message: impl Into<String>) {
        let problem = Problem { place: place.to_owned(), message: message.into() };
        self.problems.push((usize::MAX, problem));
    }

    /// The settings, unless anything was wrong.
    ///
    /// # Errors
    /// Every problem, in the order of the file.
    pub(super) fn finish<T>(self, settings: T) -> Result<T, Problems> {
        let problems = self.problems();
        if problems.0.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// Every problem, in the order of the file.
    pub(super) fn problems(mut self) -> Problems {
        for (unused, _) in std::mem::take(&mut self.overrides).iter().filter(|(_, used)| !used) {
            let variables: Vec<String> = self.settings.iter().map(|name| variable(name)).collect();
            let known: Vec<&str> = variables.iter().map(String::as_str).collect();
            let remedy = match nearest(&unused.place, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "unset it; datasets and stores are set in the file".to_owned(),
            };
            self.problem_of(&unused.place, format!("unknown setting; {remedy}"));
        }
        self.problems.sort_by_key(|(offset, _)| *offset);
        Problems(self.problems.into_iter().map(|(_, found)| found).collect())
    }

    fn override_of(&mut self, section: &str, key: &str) -> Option<Override> {
        let setting = format!("{section}.{key}");
        let mut last = None;
        for (laid, used) in self.overrides.iter_mut().filter(|(laid, _)| laid.setting == setting) {
            *used = true;
            last = Some(laid.clone());
        }
        self.settings.push(setting);
        last
    }
}

/// The environment variable that overrides `SECTION.KEY`.
fn variable(setting: &str) -> String {
    format!("FLIGHTCACHE_{}", setting.replace('.', "__").to_uppercase())
}

/// Where a value came from, to report on it after it was read.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Offset(usize),
    Override(String),
    Absent,
}

/// One table of the file, read key by key; keys that nobody read are unknown.
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    /// As the file writes it, such as `server` or `dataset`.
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
    /// Where the table starts.
    offset: usize,
    known: Vec<&'static str>,
    /// Whether overrides reach it: they name a table, and an element of a list has no name.
    named: bool,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        reader: &'a mut Reader,
        name: &'static str,
        table: Option<&'a DeTable<'a>>,
        offset: usize,
    ) -> Self {
        Self { reader, name, table, offset, known: Vec::new(), named: true }
    }

    /// One table of a list of tables.
    pub(super) fn element(
        reader: &'a mut Reader,
        name: &'static str,
        table: &'a DeTable<'a>,
        offset: usize,
    ) -> Self {
        Self { reader, name, table: Some(table), offset, known: Vec::new(), named: false }
    }

    /// The file itself, of which `known` tables were read already.
    pub(super) fn root(
        reader: &'a mut Reader,
        table: &'a DeTable<'a>,
        known: &[&'static str],
    ) -> Self {
        let known = known.to_vec();
        Self { reader, name: "the file", table: Some(table), offset: 0, known, named: false }
    }

    /// Whether the file has the table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The table `key` in this one, which messages and overrides call `name`.
    pub(super) fn table(&mut self, key: &'static str, name: &'static str) -> Section<'_> {
        self.known.push(key);
        let value = self.table.and_then(|table| table.get(key));
        let offset = value.map_or(self.offset, |value| value.span().start);
        let found = value.map(|value| value.get_ref().as_table());
        if let Some(None) = found {
            self.reader.problem_at(offset, format!("`{key}` is not a table; write [{name}]"));
        }
        Section::new(self.reader, name, found.flatten(), offset)
    }

    /// Every table of the list of tables `key`, which messages call `name`; none where one of them
    /// is wrong, which is noted.
    pub(super) fn elements<T>(
        &mut self,
        key: &'static str,
        name: &'static str,
        read: fn(Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.known.push(key);
        let Some(value) = self.table.and_then(|table| table.get(key)) else {
            return Some(Vec::new());
        };
        let Some(list) = value.get_ref().as_array() else {
            self.reader.problem_at(value.span().start, format!("not a list; write [[{name}]]"));
            return None;
        };
        let mut elements = Some(Vec::new());
        for element in list {
            let offset = element.span().start;
            let found = if let DeValue::Table(table) = element.get_ref() {
                read(Section::element(self.reader, name, table, offset))
            } else {
                self.reader.problem_at(offset, format!("not a table; write [[{name}]]"));
                None
            };
            elements = elements.zip(found).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        elements
    }

    /// The value of `key`, or `default` where it is absent or wrong; wrong ones are noted.
    pub(super) fn setting<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Given<'_>) -> Reading<T>,
    ) -> T {
        self.located(key, default, read).0
    }

    /// As [`Section::setting`], with the place of the value.
    pub(super) fn located<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Given<'_>) -> Reading<T>,
    ) -> (T, Place) {
        self.known.push(key);
        let laid = if self.named { self.reader.override_of(self.name, key) } else { None };
        let (result, place) = if let Some(laid) = laid {
            (Some(read(Given::Text(&laid.text))), Place::Override(laid.place))
        } else if let Some(value) = self.table.and_then(|table| table.get(key)) {
            (Some(read(Given::Toml(value.get_ref()))), Place::Offset(value.span().start))
        } else {
            (None, Place::Absent)
        };
        match result {
            None => (default, place),
            Some(Ok(value)) => (value, place),
            Some(Err(message)) => {
                self.problem(&place, format!("`{key}`: {message}"));
                (default, place)
            }
        }
    }

    /// The value of a key that has no default; absent and wrong ones are noted.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Given<'_>) -> Reading<T>,
    ) -> Option<T> {
        let (value, place) = self.located(key, None, |given| read(given).map(Some));
        if let Place::Absent = place {
            self.problem(&place, format!("`{key}` is missing in {}; add it", self.name));
        }
        value
    }

    /// Notes a problem at the place of a value, or of the section where the value is absent.
    pub(super) fn problem(&mut self, place: &Place, message: impl Into<String>) {
        match place {
            Place::Offset(offset) => self.reader.problem_at(*offset, message),
            Place::Override(name) => self.reader.problem_of(name, message),
            Place::Absent => self.reader.problem_at(self.offset, message),
        }
    }

    /// Notes every key that was not read.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let remedy = if PLANNED.contains(&name) {
                "not supported by this version, remove it".to_owned()
            } else if let Some(near) = nearest(name, &self.known) {
                format!("did you mean `{near}`?")
            } else {
                format!("known keys: {}", self.known.join(", "))
            };
            let name = name.escape_debug();
            let message = format!("unknown key `{name}` in {}; {remedy}", self.name);
            self.reader.problem_at(key.span().start, message);
        }
    }
}

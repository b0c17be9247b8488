//! What may be said: one read-only statement, checked before anything of it is planned.

use std::{collections::VecDeque, ops::ControlFlow};

use datafusion::{
    error::DataFusionError,
    sql::{
        parser::{DFParserBuilder, ExplainStatement, Statement as Parsed},
        sqlparser::{
            ast::{
                DescribeAlias, Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor,
                Value, Visit, VisitMut, Visitor, VisitorMut,
            },
            dialect::GenericDialect,
        },
    },
};
use flightcache_cache::{Error, Result};

use crate::{error::from_datafusion, predicate::operators};

/// Longest statement that is read, in bytes.
const MAX_SQL_BYTES: usize = 1 << 20;
/// Operators, keywords and parentheses of a statement, at most: so deep may it nest.
const MAX_OPERATORS: usize = 2_000;
/// How deep the parser may recurse.
const RECURSION_LIMIT: usize = 500;

/// Reads the one statement that `sql` is, its placeholders numbered.
///
/// # Errors
/// `Invalid` if it does not parse, is none or several, or is too long; `Denied` if it does anything
/// but read.
pub(super) fn parse(sql: &str) -> Result<Parsed> {
    if sql.len() > MAX_SQL_BYTES {
        return Err(Error::invalid(format!(
            "the statement is {} bytes long: at most {MAX_SQL_BYTES} are read",
            sql.len()
        )));
    }
    let operators = operators(sql);
    if operators > MAX_OPERATORS {
        return Err(Error::invalid(format!(
            "{operators} operators and keywords are more than {MAX_OPERATORS}: write long lists \
             with IN"
        )));
    }
    let parsed = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| unparsed(sql, &error))?;
    let mut statement = single(parsed)?;
    check(&statement)?;
    number_placeholders(&mut statement)?;
    Ok(statement)
}

/// What does not parse is invalid, unless it begins with a word that is refused anyway: not every
/// form of `COPY` or `CREATE` is known to the parser.
fn unparsed(sql: &str, error: &DataFusionError) -> Error {
    const WRITING: [&str; 14] = [
        "ALTER", "ATTACH", "CALL", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LOAD",
        "MERGE", "SET", "TRUNCATE", "UPDATE",
    ];
    let words = sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let words = words.filter(|word| !word.is_empty()).map(str::to_ascii_uppercase);
    let first =
        words.into_iter().find(|word| !["EXPLAIN", "ANALYZE", "VERBOSE"].contains(&word.as_str()));
    match first {
        Some(word) if WRITING.contains(&word.as_str()) => denied(&word),
        _ => from_datafusion(error).context("SQL"),
    }
}

fn single(mut parsed: VecDeque<Parsed>) -> Result<Parsed> {
    match (parsed.pop_front(), parsed.len()) {
        (None, _) => Err(Error::invalid("the statement is empty")),
        (Some(statement), 0) => Ok(statement),
        (_, more) => Err(Error::invalid(format!(
            "{} statements are sent at once: send one at a time",
            more + 1
        ))),
    }
}

fn denied(what: &str) -> Error {
    Error::denied(format!("{what} is refused; SQL here reads datasets, no more"))
}

fn check(statement: &Parsed) -> Result<()> {
    match statement {
        Parsed::Statement(statement) => match statement.as_ref() {
            Statement::Query(query) => check_query(query),
            Statement::ShowTables { .. }
            | Statement::ShowColumns { .. }
            | Statement::ExplainTable { .. } => Ok(()),
            Statement::Explain {
                describe_alias: DescribeAlias::Describe | DescribeAlias::Desc,
                statement,
                ..
            } => match statement.as_ref() {
                Statement::Query(query) => check_query(query),
                other => Err(denied(&first_words(other))),
            },
            other => Err(denied(&first_words(other))),
        },
        Parsed::Explain(ExplainStatement { statement, .. }) => match statement.as_ref() {
            Parsed::Explain(_) => Err(Error::invalid("EXPLAIN of EXPLAIN says nothing")),
            explained => check(explained),
        },
        Parsed::CreateExternalTable(_) => Err(denied("CREATE EXTERNAL TABLE")),
        Parsed::CopyTo(_) => Err(denied("COPY")),
        Parsed::Reset(_) => Err(denied("RESET")),
    }
}

/// The keywords that a statement begins with, to name it.
fn first_words(statement: &Statement) -> String {
    let text = statement.to_string();
    let words = text.split_whitespace();
    let keywords =
        words.take_while(|word| word.bytes().all(|byte| byte.is_ascii_uppercase())).take(2);
    let keywords: Vec<&str> = keywords.collect();
    if keywords.is_empty() { "such a statement".to_owned() } else { keywords.join(" ") }
}

fn check_query(query: &Query) -> Result<()> {
    match query.visit(&mut ReadOnly) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Looks for what writes, wherever it is nested.
struct ReadOnly;

impl Visitor for ReadOnly {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        match query.body.as_ref() {
            SetExpr::Insert(_) => ControlFlow::Break(denied("INSERT")),
            SetExpr::Update(_) => ControlFlow::Break(denied("UPDATE")),
            SetExpr::Delete(_) => ControlFlow::Break(denied("DELETE")),
            SetExpr::Merge(_) => ControlFlow::Break(denied("MERGE")),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        match select.into {
            Some(_) => ControlFlow::Break(denied("SELECT INTO")),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Error> {
        ControlFlow::Break(denied(&first_words(statement)))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Error> {
        let last = relation.0.last().and_then(|part| part.as_ident());
        match last {
            Some(name) if name.value.eq_ignore_ascii_case("df_settings") => {
                ControlFlow::Break(denied("reading the configuration"))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        match factor {
            TableFactor::TableFunction { .. } => ControlFlow::Break(denied("TABLE(..)")),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Turns the `?` of JDBC and ADBC into `$1`, `$2`, in order of appearance.
fn number_placeholders(statement: &mut Parsed) -> Result<()> {
    let statement = match statement {
        Parsed::Explain(explain) => return number_placeholders(&mut explain.statement),
        Parsed::Statement(statement) => statement,
        _ => return Ok(()),
    };
    let mut numbering = Numbering { question_marks: 0, named: false };
    let _: ControlFlow<()> = statement.visit(&mut numbering);
    if numbering.question_marks > 0 && numbering.named {
        return Err(Error::invalid("write every parameter as `?`, or every one as `$1`, `$2`"));
    }
    Ok(())
}

struct Numbering {
    question_marks: usize,
    named: bool,
}

impl VisitorMut for Numbering {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &mut value.value
        {
            if name == "?" {
                self.question_marks += 1;
                *name = format!("${}", self.question_marks);
            } else {
                self.named = true;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use flightcache_cache::ErrorKind;

    use super::*;

    fn kind(sql: &str) -> Option<ErrorKind> {
        parse(sql).err().map(|error| error.kind())
    }

    #[test]
    fn what_reads_is_let_through() {
        for sql in [
            "SELECT 1",
            "select * from t where a = 1;",
            "WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2",
            "VALUES (1), (2)",
            "SHOW TABLES",
            "SHOW COLUMNS FROM t",
            "DESCRIBE t",
            "DESCRIBE SELECT 1",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
        ] {
            assert_eq!(kind(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_writes_or_configures_is_denied_by_every_route() {
        for sql in [
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "EXPLAIN ANALYZE COPY t TO '/tmp/x.csv'",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "COPY t FROM '/etc/passwd'",
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW t AS SELECT 1",
            "DROP TABLE t",
            "INSERT INTO t VALUES (1)",
            "EXPLAIN INSERT INTO t VALUES (1)",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "TRUNCATE TABLE t",
            "SELECT * INTO u FROM t",
            "SELECT * FROM (SELECT * INTO u FROM t)",
            "SET datafusion.execution.batch_size = 1",
            "RESET datafusion.execution.batch_size",
            "SHOW ALL",
            "SHOW datafusion.execution.batch_size",
            "SHOW FUNCTIONS",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "DEALLOCATE p",
            "BEGIN",
            "COMMIT",
            "SELECT * FROM information_schema.df_settings",
            "SELECT * FROM t WHERE a IN (SELECT value FROM information_schema.\"DF_SETTINGS\")",
            "EXPLAIN SELECT * FROM flightcache.information_schema.df_settings",
            "DESCRIBE CREATE TABLE t (a INT)",
            "DESCRIBE SELECT * INTO u FROM t",
            "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        ] {
            assert_eq!(kind(sql), Some(ErrorKind::Denied), "{sql}");
        }
    }

    #[test]
    fn what_is_no_single_statement_is_invalid() {
        let many = format!("SELECT {}", "1 + ".repeat(3_000) + "1");
        let deep = format!("SELECT {}1{}", "(".repeat(1_900), ")".repeat(1_900));
        let long = format!("SELECT '{}'", "x".repeat(MAX_SQL_BYTES));
        let texts = ["", ";", "SELEC 1", "SELECT 1; SELECT 2", "SELECT", &many, &deep, &long];
        for sql in texts {
            assert_eq!(
                kind(sql),
                Some(ErrorKind::Invalid),
                "{}",
                sql.chars().take(50).collect::<String>()
            );
        }
        assert_eq!(kind("SELECT ? + $1"), Some(ErrorKind::Invalid));
    }

    #[test]
    fn question_marks_are_numbered_in_order() {
        let statement = parse("SELECT ? FROM t WHERE a = ? AND b IN (SELECT ?)").unwrap();
        let expected = "SELECT $1 FROM t WHERE a = $2 AND b IN (SELECT $3)";
        assert_eq!(statement.to_string(), expected);
    }
}

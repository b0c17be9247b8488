//! What this server is and can do, as `SqlInfo` has it. What is absent from a list is not there.

use std::collections::BTreeMap;

use arrow_flight::sql::{
    self, SqlInfo as Info, SupportedSqlGrammar,
    metadata::{SqlInfoData, SqlInfoDataBuilder},
};
use flightcache_cache::Result;

use super::metadata::unbuilt;
use crate::node::Node;

/// Words that mean something beyond the standard's.
const KEYWORDS: &str = "DESCRIBE EXPLAIN ILIKE LIMIT OFFSET QUALIFY SHOW";
const NUMERIC_FUNCTIONS: &str = "abs acos asin atan atan2 cbrt ceil cos cot degrees exp factorial floor gcd lcm ln \
     log log10 log2 mod pi power radians round signum sin sqrt tan trunc";
const STRING_FUNCTIONS: &str = "ascii bit_length btrim chr concat concat_ws contains ends_with initcap left length \
     lower lpad ltrim md5 octet_length repeat replace reverse right rpad rtrim sha256 split_part \
     starts_with strpos substr to_hex translate trim upper";
const DATETIME_FUNCTIONS: &str = "current_date current_time date_bin date_part date_trunc from_unixtime make_date now \
     to_char to_date to_timestamp to_unixtime";
/// Longest statement that is read, in bytes; limits that are 0 are not there.
const MAX_STATEMENT_BYTES: i64 = 1 << 20;

/// Everything that can be asked.
pub(super) fn infos(node: &Node) -> Result<SqlInfoData> {
    let mut infos = SqlInfoDataBuilder::new();
    server(&mut infos, node);
    names(&mut infos);
    language(&mut infos);
    lacking(&mut infos);
    infos.build().map_err(|error| unbuilt(&error))
}

fn server(infos: &mut SqlInfoDataBuilder, node: &Node) {
    let timeout_ms = i32::try_from(node.sql.timeout.as_millis()).unwrap_or(i32::MAX);
    infos.append(Info::FlightSqlServerName, "Flightcache");
    infos.append(Info::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    // Of the format, which is what clients compare.
    infos.append(Info::FlightSqlServerArrowVersion, "1.5.0");
    infos.append(Info::FlightSqlServerReadOnly, true);
    infos.append(Info::FlightSqlServerSql, true);
    infos.append(Info::FlightSqlServerSubstrait, false);
    infos.append(Info::FlightSqlServerTransaction, sql::SqlSupportedTransaction::None as i32);
    infos.append(Info::FlightSqlServerCancel, true);
    infos.append(Info::FlightSqlServerBulkIngestion, false);
    infos.append(Info::FlightSqlServerIngestTransactionsSupported, false);
    infos.append(Info::FlightSqlServerStatementTimeout, timeout_ms);
    infos.append(Info::FlightSqlServerTransactionTimeout, 0);
}

fn names(infos: &mut SqlInfoDataBuilder) {
    let lowercase = sql::SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    let sensitive = sql::SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    infos.append(Info::SqlIdentifierCase, lowercase);
    infos.append(Info::SqlQuotedIdentifierCase, sensitive);
    infos.append(Info::SqlIdentifierQuoteChar, "\"");
    infos.append(Info::SqlAllTablesAreSelectable, true);
    infos.append(Info::SqlSearchStringEscape, "\\");
    infos.append(Info::SqlExtraNameCharacters, "");
    infos.append(Info::SqlSchemaTerm, "schema");
    infos.append(Info::SqlProcedureTerm, "");
    infos.append(Info::SqlCatalogTerm, "catalog");
    infos.append(Info::SqlCatalogAtStart, true);
    infos.append(Info::SqlMaxStatementLength, MAX_STATEMENT_BYTES);
    for limit in [
        Info::SqlMaxBinaryLiteralLength,
        Info::SqlMaxCharLiteralLength,
        Info::SqlMaxColumnNameLength,
        Info::SqlMaxColumnsInGroupBy,
        Info::SqlMaxColumnsInIndex,
        Info::SqlMaxColumnsInOrderBy,
        Info::SqlMaxColumnsInSelect,
        Info::SqlMaxColumnsInTable,
        Info::SqlMaxConnections,
        Info::SqlMaxCursorNameLength,
        Info::SqlMaxIndexLength,
        Info::SqlDbSchemaNameLength,
        Info::SqlMaxProcedureNameLength,
        Info::SqlMaxCatalogNameLength,
        Info::SqlMaxRowSize,
        Info::SqlMaxStatements,
        Info::SqlMaxTableNameLength,
        Info::SqlMaxTablesInSelect,
        Info::SqlMaxUsernameLength,
    ] {
        infos.append(limit, 0_i64);
    }
}

fn language(infos: &mut SqlInfoDataBuilder) {
    infos.append(Info::SqlNullOrdering, sql::SqlNullOrdering::SqlNullsSortedHigh as i32);
    infos.append(Info::SqlKeywords, words(KEYWORDS));
    infos.append(Info::SqlNumericFunctions, words(NUMERIC_FUNCTIONS));
    infos.append(Info::SqlStringFunctions, words(STRING_FUNCTIONS));
    infos.append(Info::SqlSystemFunctions, words("coalesce nullif nvl nvl2 version"));
    infos.append(Info::SqlDatetimeFunctions, words(DATETIME_FUNCTIONS));
    for able in [
        Info::SqlSupportsColumnAliasing,
        Info::SqlNullPlusNullIsNull,
        Info::SqlSupportsTableCorrelationNames,
        Info::SqlSupportsExpressionsInOrderBy,
        Info::SqlSupportsOrderByUnrelated,
        Info::SqlSupportsLikeEscapeClause,
        Info::SqlSupportsNonNullableColumns,
        Info::SqlCorrelatedSubqueriesSupported,
    ] {
        infos.append(able, true);
    }
    infos.append(Info::SqlSupportsDifferentTableCorrelationNames, false);
    infos.append(
        Info::SqlSupportedGroupBy,
        bits(&[
            sql::SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
            sql::SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
        ]),
    );
    infos.append(
        Info::SqlSupportedGrammar,
        bits(&[
            SupportedSqlGrammar::SqlMinimumGrammar as i32,
            SupportedSqlGrammar::SqlCoreGrammar as i32,
        ]),
    );
    infos.append(
        Info::SqlOuterJoinsSupportLevel,
        bits(&[
            sql::SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
            sql::SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
        ]),
    );
    infos.append(
        Info::SqlSupportedSubqueries,
        bits(&[
            sql::SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
            sql::SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
            sql::SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
        ]),
    );
    infos.append(
        Info::SqlSupportedUnions,
        bits(&[
            sql::SqlSupportedUnions::SqlUnion as i32,
            sql::SqlSupportedUnions::SqlUnionAll as i32,
        ]),
    );
    infos.append(
        Info::SqlSupportedResultSetTypes,
        bits(&[sql::SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]),
    );
    let read_only =
        bits(&[sql::SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]);
    infos.append(Info::SqlSupportedConcurrenciesForResultSetForwardOnly, read_only);
}

fn lacking(infos: &mut SqlInfoDataBuilder) {
    for unable in [
        Info::SqlDdlCatalog,
        Info::SqlDdlSchema,
        Info::SqlDdlTable,
        Info::SqlSupportsIntegrityEnhancementFacility,
        Info::SqlSelectForUpdateSupported,
        Info::SqlStoredProceduresSupported,
        Info::SqlMaxRowSizeIncludesBlobs,
        Info::SqlTransactionsSupported,
        Info::SqlDataDefinitionCausesTransactionCommit,
        Info::SqlDataDefinitionsInTransactionsIgnored,
        Info::SqlBatchUpdatesSupported,
        Info::SqlSavepointsSupported,
        Info::SqlNamedParametersSupported,
        Info::SqlLocatorsUpdateCopy,
        Info::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        infos.append(unable, false);
    }
    for none in [
        Info::SqlAnsi92SupportedLevel,
        Info::SqlSchemasSupportedActions,
        Info::SqlCatalogsSupportedActions,
        Info::SqlSupportedPositionedCommands,
        Info::SqlSupportedConcurrenciesForResultSetUnspecified,
        Info::SqlSupportedConcurrenciesForResultSetScrollSensitive,
        Info::SqlSupportedConcurrenciesForResultSetScrollInsensitive,
    ] {
        infos.append(none, 0);
    }
    let isolation = sql::SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    // The JDBC driver takes nothing but a long here.
    infos.append(Info::SqlDefaultTransactionIsolation, i64::from(isolation));
    infos.append(Info::SqlSupportedTransactionsIsolationLevels, bits(&[isolation]));
    infos.append(Info::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
}

/// A bit for each value of an enumeration.
fn bits(values: &[i32]) -> i32 {
    values.iter().fold(0, |bits, value| bits | 1 << value)
}

fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

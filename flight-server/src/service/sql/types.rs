//! The types of columns, as ODBC and JDBC number them.

use arrow_flight::sql::{
    Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode,
    metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};
use flightcache_cache::Result;

use super::metadata::unbuilt;

/// What SQL here knows.
pub(super) fn types() -> Result<XdbcTypeInfoData> {
    use XdbcDataType::{
        XdbcBigint, XdbcBit, XdbcDate, XdbcDecimal, XdbcDouble, XdbcInteger, XdbcReal,
        XdbcSmallint, XdbcTime, XdbcTimestamp, XdbcTinyint, XdbcVarbinary, XdbcVarchar,
    };
    let mut types = XdbcTypeInfoDataBuilder::new();
    types.append(plain("BOOLEAN", XdbcBit, 1));
    for (name, data_type, digits) in [
        ("TINYINT", XdbcTinyint, 3),
        ("SMALLINT", XdbcSmallint, 5),
        ("INTEGER", XdbcInteger, 10),
        ("BIGINT", XdbcBigint, 19),
    ] {
        let signed = number(name, data_type, digits);
        types.append(signed.clone());
        let name = format!("{name} UNSIGNED");
        types.append(XdbcTypeInfo {
            type_name: name.clone(),
            local_type_name: Some(name),
            unsigned_attribute: Some(true),
            ..signed
        });
    }
    types.append(number("REAL", XdbcReal, 7));
    types.append(number("DOUBLE", XdbcDouble, 15));
    types.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        fixed_prec_scale: true,
        minimum_scale: Some(0),
        maximum_scale: Some(76),
        ..number("DECIMAL", XdbcDecimal, 76)
    });
    types.append(quoted(XdbcTypeInfo {
        case_sensitive: true,
        searchable: Searchable::Full,
        ..plain("VARCHAR", XdbcVarchar, i32::MAX)
    }));
    types.append(XdbcTypeInfo {
        literal_prefix: Some("X'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..plain("VARBINARY", XdbcVarbinary, i32::MAX)
    });
    types.append(moment("DATE", XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear));
    types.append(moment("TIME", XdbcTime, 18, XdbcDatetimeSubcode::XdbcSubcodeTime));
    let stamp = XdbcDatetimeSubcode::XdbcSubcodeTimestamp;
    types.append(moment("TIMESTAMP", XdbcTimestamp, 29, stamp));
    types.build().map_err(|error| unbuilt(&error))
}

fn plain(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(column_size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Basic,
        auto_increment: Some(false),
        local_type_name: Some(name.to_owned()),
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn number(name: &str, data_type: XdbcDataType, digits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        num_prec_radix: Some(10),
        ..plain(name, data_type, digits)
    }
}

fn quoted(of: XdbcTypeInfo) -> XdbcTypeInfo {
    let quote = || Some("'".to_owned());
    XdbcTypeInfo { literal_prefix: quote(), literal_suffix: quote(), ..of }
}

fn moment(
    name: &str,
    data_type: XdbcDataType,
    column_size: i32,
    subcode: XdbcDatetimeSubcode,
) -> XdbcTypeInfo {
    quoted(XdbcTypeInfo {
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..plain(name, data_type, column_size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_their_number() {
        let types = types().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), 17);
        let one = types.record_batch(XdbcDataType::XdbcVarchar as i32).unwrap();
        assert_eq!(one.num_rows(), 1);
    }
}

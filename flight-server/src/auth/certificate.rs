//! The principal that a client's certificate names.

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `UTF8String`, `PrintableString`, `IA5String`: of these, what is UTF-8 is the text.
const STRINGS: [u8; 3] = [0x0c, 0x13, 0x16];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The subject's common name, or where it has none the first URI, or the first DNS name.
///
/// Of a certificate that names its subject twice nothing is taken from the subject: which of the
/// names its authority vouched for is anybody's guess.
pub(super) fn principal(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let common = common_name(certificate.subject());
    let named = common.or_else(|| certificate.valid_uri_names().next());
    named.or_else(|| certificate.valid_dns_names().next()).map(str::to_owned)
}

/// The one common name of a subject: sets of sequences of an identifier and a string.
fn common_name(subject: &[u8]) -> Option<&str> {
    let mut names = Elements(subject)
        .filter(|(tag, _)| *tag == SET)
        .flat_map(|(_, set)| Elements(set))
        .filter(|(tag, _)| *tag == SEQUENCE)
        .filter_map(|(_, pair)| {
            let mut pair = Elements(pair);
            let is_name = pair.next()? == (OBJECT_IDENTIFIER, &COMMON_NAME);
            is_name.then(|| pair.next()).flatten()
        });
    let (tag, value) = names.next()?;
    let only = names.next().is_none() && STRINGS.contains(&tag);
    only.then(|| std::str::from_utf8(value).ok()).flatten().filter(|name| !name.is_empty())
}

/// Tag and content of each DER element in a row, up to the first that is cut or longer than 64 KiB.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, tag, rest) = match *self.0 {
            [tag, length @ ..=0x7f, ref rest @ ..] | [tag, 0x81, length, ref rest @ ..] => {
                (usize::from(length), tag, rest)
            }
            [tag, 0x82, high, low, ref rest @ ..] => {
                (usize::from(u16::from_be_bytes([high, low])), tag, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn attribute(identifier: &[u8], tag: u8, value: &str) -> Vec<u8> {
        let pair = [element(OBJECT_IDENTIFIER, identifier), element(tag, value.as_bytes())];
        element(SET, &element(SEQUENCE, &pair.concat()))
    }

    #[test]
    fn the_one_common_name_is_taken() {
        let (organisation, name) = ([0x55, 0x04, 0x0a], |text| attribute(&COMMON_NAME, 0x0c, text));
        let subject = [attribute(&organisation, 0x13, "acme"), name("spark-1")].concat();
        assert_eq!(common_name(&subject), Some("spark-1"));
        assert_eq!(common_name(&[name("a"), name("b")].concat()), None);
        assert_eq!(common_name(&attribute(&organisation, 0x13, "acme")), None);
        assert_eq!(common_name(&attribute(&COMMON_NAME, 0x1e, "ab")), None);
        assert_eq!(common_name(&name("")), None);
        for cut in 0..subject.len() {
            let found = common_name(subject.get(..cut).unwrap());
            assert_eq!(found, None, "cut at {cut}");
        }
    }

    #[test]
    fn long_lengths_are_read_and_others_end_it() {
        let long = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(Elements(&long).next().map(|(_, content)| content.len()), Some(256));
        assert_eq!(Elements(&[0x04, 0x81, 0x02, 1, 2]).next(), Some((4, &[1, 2][..])));
        for broken in [&[0x04][..], &[0x04, 0x80], &[0x04, 0x83, 0, 0, 1, 1], &[0x04, 2, 1]] {
            assert_eq!(Elements(broken).next(), None);
        }
    }
}

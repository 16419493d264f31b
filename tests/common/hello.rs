//! The first message of a TLS connection with just what a test offers, down to what no library still speaks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::PATIENCE;

/// Versions of the protocol.
pub(crate) const TLS_1_0: u16 = 0x0301;
pub(crate) const TLS_1_1: u16 = 0x0302;
pub(crate) const TLS_1_2: u16 = 0x0303;
pub(crate) const TLS_1_3: u16 = 0x0304;

/// Extensions, records and messages, by their numbers (RFC 8446, sections 4 and 5).
const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURES: u16 = 13;
const VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// X25519 and P-256.
const CURVES: [u16; 2] = [0x001d, 0x0017];
/// ECDSA and RSA, also as TLS 1.0 had them.
const SCHEMES: [u16; 6] = [0x0403, 0x0503, 0x0804, 0x0401, 0x0203, 0x0201];

/// Offers one version and one cipher suite to the server of `host`. Returns whether the server takes them.
pub(crate) fn is_taken(address: &str, host: &str, version: u16, suite: u16) -> bool {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&hello(host, version, suite)).expect("it is sent");
    // A server that refuses says so in a record of another type, or closes the connection.
    let mut head = [0; 6];
    match stream.read_exact(&mut head) {
        Ok(()) => head[0] == HANDSHAKE && head[5] == SERVER_HELLO,
        Err(_) => false,
    }
}

fn hello(host: &str, version: u16, suite: u16) -> Vec<u8> {
    let name = [&[0][..], &sized(host.as_bytes())].concat();
    let mut extensions = vec![
        extension(SERVER_NAME, &sized(&name)),
        extension(GROUPS, &sized(&numbers(&CURVES))),
        extension(POINT_FORMATS, &[1, 0]),
        extension(SIGNATURES, &sized(&numbers(&SCHEMES))),
    ];
    if version == TLS_1_3 {
        // Any 32 bytes are a point of X25519.
        let share = [&numbers(&CURVES[..1])[..], &sized(&[9; 32])].concat();
        extensions.push(extension(VERSIONS, &[&[2][..], &numbers(&[version])].concat()));
        extensions.push(extension(KEY_SHARE, &sized(&share)));
    }
    let body = [
        &numbers(&[version.min(TLS_1_2)])[..],
        &[7; 32],
        &[0],
        &sized(&numbers(&[suite])),
        &[1, 0],
        &sized(&extensions.concat()),
    ]
    .concat();
    let length = u32::try_from(body.len()).expect("a short message").to_be_bytes();
    let message = [&[CLIENT_HELLO][..], &length[1..], &body].concat();
    [&[HANDSHAKE][..], &numbers(&[TLS_1_0]), &sized(&message)].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [numbers(&[number]), sized(content)].concat()
}

/// After its length in two bytes.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("it is short");
    [&numbers(&[length])[..], content].concat()
}

fn numbers(all: &[u16]) -> Vec<u8> {
    all.iter().flat_map(|one| one.to_be_bytes()).collect()
}

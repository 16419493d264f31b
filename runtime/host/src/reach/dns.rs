//! Questions to a name server. The system's own functions do not tell families of addresses apart, know nothing of CAA,
//! and read `/etc/hosts`, which the world does not see.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::seen::Family;

/// How long one server may take, and how often each is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// The longest answer.
const LONGEST: usize = 64 << 10;

/// The name servers that are asked, in order.
#[derive(Clone, Debug)]
pub(super) struct Servers(Vec<SocketAddr>);

impl Servers {
    /// This one, or those of this host.
    pub(super) fn of(asked: Option<SocketAddr>) -> Self {
        if let Some(one) = asked {
            return Self(vec![one]);
        }
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self(configured(&text))
    }

    /// The addresses of a name; none if it does not exist.
    ///
    /// # Errors
    /// Why that is not known, as text for people.
    pub(super) async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, String> {
        let kind = if family == Family::A { TYPE::A } else { TYPE::AAAA };
        let found = self.ask(name, kind, |data| match data {
            RData::A(one) => Some(IpAddr::V4(Ipv4Addr::from(one.address))),
            RData::AAAA(one) => Some(IpAddr::V6(Ipv6Addr::from(one.address))),
            _ => None,
        });
        let mut found = found.await?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The CAs that may issue for a name: those of the nearest name upwards with CAA records (RFC 8659, section 3), each
    /// as its value, and the name that says so.
    ///
    /// # Errors
    /// Why that is not known, as text for people.
    pub(super) async fn issuers(&self, name: &str) -> Result<Option<(String, Vec<String>)>, String> {
        let mut rest = Some(name);
        while let Some(at) = rest {
            let found = self.ask(at, TYPE::CAA, |data| match data {
                RData::CAA(one) => Some((one.tag.to_string(), String::from_utf8_lossy(&one.value).into_owned())),
                _ => None,
            });
            let found = found.await?;
            if !found.is_empty() {
                let issuers = found.into_iter().filter(|(tag, _)| tag.eq_ignore_ascii_case("issue"));
                let issuers: Vec<String> = issuers.map(|(_, value)| value).collect();
                return Ok((!issuers.is_empty()).then(|| (at.to_owned(), issuers)));
            }
            rest = at.split_once('.').map(|(_, above)| above);
        }
        Ok(None)
    }

    /// What the records of a name are, as `pick` reads them. A name that is an alias has those of the name it stands for.
    async fn ask<T>(&self, name: &str, kind: TYPE, pick: impl Fn(&RData<'_>) -> Option<T>) -> Result<Vec<T>, String> {
        let mut why = "the host has no name server".to_owned();
        for server in self.0.iter().flat_map(|server| std::iter::repeat_n(*server, TRIES)) {
            match asked(server, name, kind).await {
                Ok(message) => match Packet::parse(&message) {
                    Ok(packet) if matches!(packet.rcode(), RCODE::NoError | RCODE::NameError) => {
                        return Ok(packet.answers.iter().filter_map(|record| pick(&record.rdata)).collect());
                    }
                    Ok(packet) => why = format!("the name server {} answers {}", server.ip(), word(packet.rcode())),
                    Err(error) => why = format!("the answer of the name server {} is broken: {error}", server.ip()),
                },
                Err(error) => why = format!("the name server {} does not answer: {error}", server.ip()),
            }
        }
        Err(why)
    }
}

/// How the documents of DNS call an error.
fn word(code: RCODE) -> String {
    match code {
        RCODE::ServerFailure => "SERVFAIL".into(),
        RCODE::Refused => "REFUSED".into(),
        other => format!("{other:?}"),
    }
}

/// The name servers in a resolv.conf(5).
fn configured(text: &str) -> Vec<SocketAddr> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.split('%').next()?.parse::<IpAddr>().ok())?
    };
    let all: Vec<SocketAddr> = text.lines().filter_map(of).map(|address| (address, 53).into()).collect();
    if all.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { all }
}

/// The message that a server answers with: by UDP, or by TCP if it does not fit.
async fn asked(server: SocketAddr, name: &str, kind: TYPE) -> Result<Vec<u8>, String> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    let id = u16::from_be_bytes(id);
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|error| error.to_string())?;
    query.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    let query = query.build_bytes_vec().map_err(|error| error.to_string())?;
    let late = |_| "within 2 seconds".to_owned();
    let answer = timeout(PATIENCE, by_udp(server, &query, id)).await.map_err(late)?;
    let answer = answer.map_err(|error| error.to_string())?;
    if !Packet::parse(&answer).is_ok_and(|packet| packet.has_flags(PacketFlag::TRUNCATION)) {
        return Ok(answer);
    }
    timeout(PATIENCE, by_tcp(server, &query)).await.map_err(late)?.map_err(|error| error.to_string())
}

async fn by_udp(server: SocketAddr, query: &[u8], id: u16) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let count = socket.recv(&mut buffer).await?;
        // The answer to a former question is none to this one.
        if Packet::parse(&buffer[..count]).is_ok_and(|packet| packet.id() == id) {
            buffer.truncate(count);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_a_host_are_read() {
        let text = "# none\nnameserver 192.0.2.1\nsearch example\nnameserver fe80::1%eth0\n";
        assert_eq!(configured(text), ["192.0.2.1:53".parse().unwrap(), "[fe80::1]:53".parse().unwrap()]);
        assert_eq!(configured(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}

//! A report as aligned text.

use std::fmt::Write;
use std::time::Duration;

use super::report::{Connection, Report};

/// What a person reads.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let interfaces = report.interfaces.iter().flat_map(|one| {
        let state = if one.up { "up" } else { "down" };
        let mac = one.mac.clone().unwrap_or_default();
        let counts = [one.received, one.sent, one.dropped].map(|count| count.to_string());
        let [received, sent, dropped] = counts;
        let head = vec![one.name.clone(), state.into(), mac, one.mtu.to_string(), received, sent, dropped];
        let addresses = one.addresses.iter().map(|own| {
            let valid = own.valid.map(|valid| format!(" for {}", span(valid))).unwrap_or_default();
            vec![format!("  {} {}{valid}", own.address, own.state)]
        });
        let groups = (!one.groups.is_empty()).then(|| vec![format!("  groups {}", one.groups.join(" "))]);
        std::iter::once(head).chain(addresses).chain(groups).collect::<Vec<_>>()
    });
    let head = ["INTERFACE", "STATE", "MAC", "MTU", "RECEIVED", "SENT", "DROPPED"];
    table(&mut text, &head, interfaces.collect());
    let routes = report.routes.iter().map(|route| {
        let gateway = route.gateway.clone().unwrap_or_else(|| "on link".into());
        let expires = route.expires.map_or("never".into(), span);
        vec![route.network.clone(), gateway, route.interface.clone(), route.metric.to_string(), expires]
    });
    table(&mut text, &["NETWORK", "GATEWAY", "INTERFACE", "METRIC", "EXPIRES"], routes.collect());
    let neighbors = report.neighbors.iter().map(|one| {
        let mac = one.mac.clone().unwrap_or_else(|| "-".into());
        vec![one.address.clone(), mac, one.interface.clone(), one.state.clone()]
    });
    table(&mut text, &["NEIGHBOUR", "MAC", "INTERFACE", "STATE"], neighbors.collect());
    let head =
        ["LOCAL", "REMOTE", "STATE", "SENDQ", "RECVQ", "CWND", "SSTHRESH", "SRTT", "RTO", "RETRANS", "RATE"];
    table(&mut text, &head, report.connections.iter().map(connection).collect());
    let sockets = report.sockets.iter().map(|one| vec![one.local.clone(), one.protocol.clone()]);
    table(&mut text, &["LISTENING", "PROTOCOL"], sockets.collect());
    let counted = report.counters.iter().filter(|counter| counter.value > 0);
    let counters = counted.map(|counter| vec![counter.name.clone(), counter.value.to_string()]);
    table(&mut text, &["COUNTER", "VALUE"], counters.collect());
    text
}

fn connection(one: &Connection) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    let time = |time: Option<u64>| time.map_or("-".into(), |time| format!("{:.3}ms", time as f64 / 1e3));
    vec![
        one.local.clone(),
        one.remote.clone(),
        one.state.clone(),
        one.send_queue.to_string(),
        one.receive_queue.to_string(),
        number(one.congestion_window),
        number(one.threshold),
        time(one.round_trip),
        time(one.timeout),
        number(one.retransmissions),
        one.delivery_rate.map_or("-".into(), rate),
    ]
}

fn rate(bytes: u64) -> String {
    match bytes.saturating_mul(8) {
        bits @ 0..10_000 => format!("{bits}bit/s"),
        bits @ 10_000..10_000_000 => format!("{}kbit/s", bits / 1_000),
        bits => format!("{}Mbit/s", bits / 1_000_000),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}min", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", Duration::from_secs(seconds).as_secs() / 86_400),
    }
}

/// Columns as wide as the widest of them, but for rows of one cell; nothing when there are no rows.
fn table(text: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let mut widths: Vec<_> = head.iter().map(|cell| cell.len()).collect();
    for row in rows.iter().filter(|row| row.len() > 1) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let head = head.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let mut line = cells.collect::<Vec<_>>().join("  ");
        // It may be another user's program that tells all this.
        line.retain(|character| !character.is_control());
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Address, Counter, Interface, Neighbor, Route};
    use super::*;

    #[test]
    fn columns_are_aligned_and_what_is_empty_is_left_out() {
        let address =
            |address: &str, valid| Address { address: address.into(), state: "preferred".into(), valid };
        let report = Report {
            network: "tap:fw0".into(),
            interfaces: vec![Interface {
                name: "tap:fw0".into(),
                up: true,
                mac: Some("02:00:00:00:00:01".into()),
                mtu: 1500,
                addresses: vec![address("10.9.0.2/24", None), address("fd09::2/64", Some(7_200))],
                received: 7,
                ..Interface::default()
            }],
            routes: vec![Route {
                network: "0.0.0.0/0".into(),
                gateway: Some("10.9.0.1".into()),
                interface: "tap:fw0".into(),
                ..Route::default()
            }],
            neighbors: vec![Neighbor {
                address: "10.9.0.1".into(),
                state: "incomplete".into(),
                ..Neighbor::default()
            }],
            counters: vec![Counter { name: "frames_received".into(), value: 7 }, Counter::default()],
            ..Report::default()
        };
        let expected = "\
INTERFACE  STATE  MAC                MTU   RECEIVED  SENT  DROPPED
tap:fw0    up     02:00:00:00:00:01  1500  7         0     0
  10.9.0.2/24 preferred
  fd09::2/64 preferred for 2h

NETWORK    GATEWAY   INTERFACE  METRIC  EXPIRES
0.0.0.0/0  10.9.0.1  tap:fw0    0       never

NEIGHBOUR  MAC  INTERFACE  STATE
10.9.0.1   -               incomplete

COUNTER          VALUE
frames_received  7
";
        assert_eq!(render(&report), expected);
    }
}

//! DHCP.

use fourwire_wire::Error;
use fourwire_wire::dhcpv4::{DhcpOption, Header, MessageType, Operation, code};

use crate::line::Line;

pub(crate) fn message(line: &mut Line, bytes: &[u8]) -> Result<(), Error> {
    let (header, options) = Header::parse(bytes)?;
    line.add("dhcp.type", if header.operation == Operation::Request { 1 } else { 2 });
    line.add("dhcp.hops", header.hops);
    line.add("dhcp.id", header.transaction);
    line.add("dhcp.secs", header.seconds);
    line.flag("dhcp.flags.bc", header.broadcast);
    line.add("dhcp.ip.client", header.client);
    line.add("dhcp.ip.your", header.your);
    line.add("dhcp.ip.server", header.next_server);
    line.add("dhcp.ip.relay", header.relay);
    line.add("dhcp.hw.mac_addr", header.hardware);
    for found in options.iter() {
        let kind = option(line, found);
        line.add("dhcp.option.type", kind);
    }
    Ok(())
}

/// Adds what is known of an option, and says its code.
fn option(line: &mut Line, option: DhcpOption<'_>) -> u8 {
    match option {
        DhcpOption::SubnetMask(mask) => {
            line.add("dhcp.option.subnet_mask", mask);
            code::SUBNET_MASK
        }
        DhcpOption::Routers(routers) => {
            routers.iter().for_each(|router| line.add("dhcp.option.router", router));
            code::ROUTERS
        }
        DhcpOption::DnsServers(servers) => {
            servers.iter().for_each(|server| line.add("dhcp.option.domain_name_server", server));
            code::DNS_SERVERS
        }
        DhcpOption::HostName(name) => {
            line.add("dhcp.option.hostname", String::from_utf8_lossy(name));
            code::HOST_NAME
        }
        DhcpOption::DomainName(_) => code::DOMAIN_NAME,
        DhcpOption::InterfaceMtu(_) => code::INTERFACE_MTU,
        DhcpOption::BroadcastAddress(_) => code::BROADCAST_ADDRESS,
        DhcpOption::RequestedAddress(address) => {
            line.add("dhcp.option.requested_ip_address", address);
            code::REQUESTED_ADDRESS
        }
        DhcpOption::LeaseTime(seconds) => {
            line.add("dhcp.option.ip_address_lease_time", seconds);
            code::LEASE_TIME
        }
        DhcpOption::MessageType(kind) => {
            line.add("dhcp.option.dhcp", number(kind));
            code::MESSAGE_TYPE
        }
        DhcpOption::ServerIdentifier(address) => {
            line.add("dhcp.option.dhcp_server_id", address);
            code::SERVER_IDENTIFIER
        }
        DhcpOption::ParameterRequest(_) => code::PARAMETER_REQUEST,
        DhcpOption::Message(_) => code::MESSAGE,
        DhcpOption::MaxMessageSize(_) => code::MAX_MESSAGE_SIZE,
        DhcpOption::RenewalTime(seconds) => {
            line.add("dhcp.option.renewal_time_value", seconds);
            code::RENEWAL_TIME
        }
        DhcpOption::RebindingTime(seconds) => {
            line.add("dhcp.option.rebinding_time_value", seconds);
            code::REBINDING_TIME
        }
        DhcpOption::ClientIdentifier(_) => code::CLIENT_IDENTIFIER,
        DhcpOption::Other { code, .. } => code,
    }
}

fn number(kind: MessageType) -> u8 {
    match kind {
        MessageType::Discover => 1,
        MessageType::Offer => 2,
        MessageType::Request => 3,
        MessageType::Decline => 4,
        MessageType::Ack => 5,
        MessageType::Nak => 6,
        MessageType::Release => 7,
        MessageType::Inform => 8,
    }
}

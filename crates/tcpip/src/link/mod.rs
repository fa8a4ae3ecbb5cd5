//! Network access: interfaces, their media, and the neighbours on them (ARP, NDP).

//! Addresses and networks, compared without a resolver: a host name is in no network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses with a common prefix. An IPv4 address equals its IPv4-mapped IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// An IPv6 address; an IPv4 address is mapped.
    base: u128,
    mask: u128,
}

/// An address; IPv4 is stored as the IPv6 address it maps to. Never a host name: no resolver is asked (CVE-2024-10963).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(u128);

impl Network {
    /// Reads `ADDRESS/LENGTH`. Bits set beyond the length are an error: the administrator meant another network.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, length) = text.split_once('/')?;
        let base: IpAddr = base.parse().ok()?;
        let most: u32 = if base.is_ipv4() { 32 } else { 128 };
        let digits_only = length.bytes().all(|byte| byte.is_ascii_digit());
        let host_bits = most.checked_sub(length.parse().ok().filter(|_| digits_only)?)?;
        let (base, mask) = (widened(base), u128::MAX.checked_shl(host_bits).unwrap_or(0));
        (base & mask == base).then_some(Self { base, mask })
    }

    /// The lowest of its addresses.
    pub fn first(self) -> Address {
        Address(self.base)
    }

    /// Whether every address of the other network is in this one.
    pub fn covers(self, other: Self) -> bool {
        other.base & self.mask == self.base
            && self.mask & other.mask == self.mask
            && self.is_mapped() == other.is_mapped()
    }

    /// Whether the text is an address in this network. A host name never is.
    pub fn holds(&self, rhost: Option<&str>) -> bool {
        let inside = |address| address & self.mask == self.base && (self.is_mapped() || !is_mapped(address));
        rhost.and_then(Address::parse).is_some_and(|Address(address)| inside(address))
    }

    /// Whether all its addresses are IPv4. An IPv6 network never holds mapped addresses, not even `::/0`.
    fn is_mapped(&self) -> bool {
        is_mapped(self.base) && is_mapped(self.base | !self.mask)
    }
}

/// `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
fn is_mapped(address: u128) -> bool {
    address >> 32 == 0xffff
}

impl Address {
    /// Reads an address, with the scope (`%eth0`) that link-local ones of IPv6 may carry.
    pub fn parse(text: &str) -> Option<Self> {
        let scoped = || text.split_once('%')?.0.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
        text.parse().ok().or_else(scoped).map(widened).map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv6Addr::from_bits(self.0).to_canonical().fmt(f)
    }
}

fn widened(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

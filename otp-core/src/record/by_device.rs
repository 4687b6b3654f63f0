//! Something for each device, in the order of their ids. There are at most eight: a list, which is a tenth of the code of a tree.

use crate::record::id::DeviceId;

/// One value for each device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByDevice<T>(Vec<(DeviceId, T)>);

impl<T> ByDevice<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn get(&self, device: DeviceId) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == device).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, device: DeviceId) -> Option<&mut T> {
        self.0.iter_mut().find(|(id, _)| *id == device).map(|(_, value)| value)
    }

    /// Sets the value of a device, in place of one that it had.
    pub fn insert(&mut self, device: DeviceId, value: T) {
        self.remove(device);
        let before = self.0.iter().take_while(|(id, _)| *id < device).count();
        self.0.insert(before, (device, value));
    }

    pub fn remove(&mut self, device: DeviceId) {
        self.0.retain(|(id, _)| *id != device);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, &T)> {
        self.0.iter().map(|(id, value)| (*id, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = DeviceId> {
        self.0.iter().map(|(id, _)| *id)
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<T> Default for ByDevice<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<(DeviceId, T)> for ByDevice<T> {
    fn from_iter<I: IntoIterator<Item = (DeviceId, T)>>(all: I) -> Self {
        let mut made = Self::new();
        all.into_iter().for_each(|(device, value)| made.insert(device, value));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_in_order_whatever_the_order_of_insertion() {
        let all: ByDevice<char> =
            [(3, 'c'), (1, 'a'), (2, 'x'), (2, 'b')].map(|(id, letter)| (DeviceId(id), letter)).into_iter().collect();
        assert_eq!(all.iter().map(|(id, letter)| (id.0, *letter)).collect::<Vec<_>>(), [(1, 'a'), (2, 'b'), (3, 'c')]);
        assert!(all.values().eq(&['a', 'b', 'c']));
        assert_eq!((all.get(DeviceId(2)), all.get(DeviceId(4))), (Some(&'b'), None));
        let mut fewer = all.clone();
        fewer.remove(DeviceId(2));
        fewer.remove(DeviceId(9));
        assert_eq!(fewer.keys().collect::<Vec<_>>(), [DeviceId(1), DeviceId(3)]);
        fewer.insert(DeviceId(2), 'b');
        assert_eq!(fewer, all);
        *fewer.get_mut(DeviceId(2)).unwrap() = 'd';
        assert_eq!(fewer.get(DeviceId(2)), Some(&'d'));
    }
}

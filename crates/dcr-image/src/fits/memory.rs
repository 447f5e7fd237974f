//! Available and peak memory, from the files of the kernel.

use std::fs;

/// Available memory without swapping, in bytes; `None` if unknown.
#[must_use]
pub fn free_memory() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Peak memory of this process, in bytes; `None` if unknown.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The value of a line `name   1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_found_and_converted() {
        let text = "MemTotal:  16 kB\nMemAvailable:     12 kB\nBad: x kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(12 * 1024));
        assert_eq!(field(text, "Bad:"), None);
        assert_eq!(field(text, "VmHWM:"), None);
    }
}

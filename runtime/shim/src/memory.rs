//! Gives back memory that was needed only briefly: there is one shim per instance, so each page counts.

use nix::libc;

/// How far below the current frame the stack is given back, in bytes. A start reaches about a tenth as deep; the
/// kernel keeps a megabyte below every stack free of other mappings.
const DEPTH: usize = 120 << 10;
/// What is kept below the current frame, in bytes: the red zone and the calls made here.
const MARGIN: usize = 1 << 10;
const PAGE: usize = 4 << 10;

/// Gives back the free parts of the heap.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers and has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives back the free parts of the heap, and the stack below the caller. That stack reads as zero when it is used
/// again, like any fresh page; no code reads below its own frame.
pub(crate) fn give_back() {
    trim_heap();
    let here = 0_u8;
    let top = (std::ptr::from_ref(&here).addr() - MARGIN) / PAGE * PAGE;
    let bottom = std::ptr::with_exposed_provenance_mut::<libc::c_void>(top - DEPTH);
    // SAFETY: below this frame there are only dead frames, and then addresses without a mapping: the kernel skips those
    // and returns an error, which is expected here.
    unsafe { libc::madvise(bottom, DEPTH, libc::MADV_DONTNEED) };
}

#[cfg(test)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is looked at")]
mod tests {
    use super::*;

    /// Resident memory of the mapping that contains an address, in bytes: here, of one thread's stack. Other tests that
    /// run at the same time use other mappings.
    fn resident(address: usize) -> usize {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_inside = false;
        for line in text.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            let bounds = range.map(|(from, to)| [from, to].map(|end| usize::from_str_radix(end, 16)));
            if let Some([Ok(from), Ok(to)]) = bounds {
                is_inside = (from..to).contains(&address);
            } else if let (true, Some(size)) = (is_inside, line.strip_prefix("Rss:")) {
                return size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10;
            }
        }
        panic!("{address:x} is in no mapping");
    }

    #[inline(never)]
    fn deep(count: u8) -> u64 {
        let bytes = std::hint::black_box([count; 100 << 10]);
        bytes.iter().map(|byte| u64::from(*byte)).sum()
    }

    #[test]
    fn the_dead_part_of_the_stack_goes_and_the_living_part_stays() {
        let ours = std::hint::black_box([7_u8; 64 << 10]);
        assert_eq!(deep(1), 100 << 10);
        let here = ours.as_ptr().addr();
        let before = resident(here);
        give_back();
        let after = resident(here);
        assert!(after + (60 << 10) < before, "{before} is now {after}");
        assert!(ours.iter().all(|byte| *byte == 7));
        assert_eq!(deep(2), 200 << 10);
    }
}

//! The resource use of a process tree: CPU from /proc/PID/stat, memory from smaps_rollup.

use std::collections::HashMap;
use std::fs;

/// A process and its descendants.
#[derive(Clone, Copy)]
pub struct Tree(pub u32);

impl Tree {
    fn members(self) -> Vec<u32> {
        let all: Vec<(u32, u32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, fields(pid)?.get(1)?.parse().ok()?)))
            .collect();
        let mut members = vec![self.0];
        let mut next = 0;
        while let Some(&parent) = members.get(next) {
            members.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        members
    }

    /// User and system time in seconds so far, including children that have ended.
    pub fn cpu(self) -> f64 {
        let ticks: u64 = self
            .members()
            .into_iter()
            .filter_map(fields)
            .map(|fields| fields[11..15].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
            .sum();
        // USER_HZ is 100 on every supported Linux.
        ticks as f64 / 100.0
    }

    /// The time of each living thread on a processor so far, in nanoseconds; for figures that hundredths of a second are
    /// too coarse for.
    pub fn threads(self) -> HashMap<u32, u64> {
        let threads_of = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let time_of = |thread: &fs::DirEntry| {
            let id = thread.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((id, text.split_whitespace().next()?.parse().ok()?))
        };
        self.members().into_iter().flat_map(threads_of).filter_map(|thread| time_of(&thread)).collect()
    }

    /// Seconds on a processor since `before`, of the threads that live still.
    pub fn since(self, before: &HashMap<u32, u64>) -> f64 {
        let now = self.threads();
        let spent = now.iter().map(|(id, time)| time - before.get(id).copied().unwrap_or(0)).sum::<u64>();
        spent as f64 / 1e9
    }

    /// Proportional set size in KiB.
    pub fn pss(self) -> f64 {
        let of = |pid: u32| {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).ok().or_else(|| read_as_root(&path))?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        self.members().into_iter().filter_map(of).sum()
    }

    /// The peak memory of the first process in KiB.
    pub fn peak(self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Open descriptors.
    pub fn descriptors(self) -> usize {
        let count = |pid| {
            let open = format!("/proc/{pid}/fd");
            // From Linux 6.2 on, the directory's size is the number of descriptors, readable by every user.
            let told = || fs::metadata(&open).map_or(0, |metadata| metadata.len() as usize);
            fs::read_dir(&open).map_or_else(|_| told(), Iterator::count)
        };
        self.members().into_iter().map(count).sum()
    }
}

/// The proxy forbids tracing, so only root may read this file of it.
fn read_as_root(path: &str) -> Option<String> {
    let read = std::process::Command::new("sudo").args(["-n", "cat", path]).output().ok()?;
    read.status.success().then(|| String::from_utf8_lossy(&read.stdout).into_owned())
}

/// The fields of /proc/PID/stat after the name, starting with the state.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split_whitespace().map(str::to_owned).collect())
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 if middle > 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted.get(middle).copied().unwrap_or(f64::NAN),
    }
}

pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (percent / 100.0 * (sorted.len().max(1) - 1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

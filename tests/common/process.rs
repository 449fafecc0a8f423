//! The resource use of a process, as the kernel counts it.

use std::time::{Duration, Instant};

/// A process of this machine.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// Current memory in KiB.
    pub fn resident(self) -> u64 {
        self.status("VmRSS:")
    }

    /// Current memory without file pages, in KiB.
    pub fn anonymous(self) -> u64 {
        self.status("RssAnon:")
    }

    /// The peak of memory in KiB.
    pub fn most_resident(self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// CPU time in user and kernel mode; the kernel counts in hundredths of a second.
    pub fn cpu(self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// CPU time in one second, in which the process should be idle.
    pub async fn cpu_of_a_second(self) -> Duration {
        let before = self.cpu();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.cpu() - before
    }

    /// Open file descriptors. Only root may list those of a process that forbids tracing. From Linux 6.2 on
    /// every user can read their number; before, `sudo` is needed.
    pub fn descriptors(self) -> usize {
        let open = format!("/proc/{}/fd", self.0);
        if let Ok(entries) = std::fs::read_dir(&open) {
            return entries.count();
        }
        let told = std::fs::metadata(&open).map_or(0, |metadata| metadata.len());
        if told > 0 {
            return usize::try_from(told).unwrap();
        }
        let listed = std::process::Command::new("sudo").args(["-n", "ls", "-U", &open]).output();
        match listed {
            Ok(listed) if listed.status.success() => listed.stdout.split(|byte| *byte == b'\n').count() - 1,
            _ => panic!("the open files of serve cannot be counted: test as root, with sudo or on Linux 6.2"),
        }
    }

    /// Waits until the keep-alive timer of one of its connections runs with less than a minute left. While
    /// bytes are in transit the kernel shows another timer. `leg` selects a row of the kernel's table: the
    /// second field is the local address, the third the remote one.
    pub async fn probes(self, leg: impl Fn(&[&str]) -> bool) {
        const ESTABLISHED: &str = "01";
        const KEEP_ALIVE: &str = "02";
        let patience = Instant::now() + sandbox::PATIENCE;
        loop {
            let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.0)).unwrap();
            let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let is_probed = rows.any(|fields| {
                let (timer, ends) = fields[5].split_once(':').unwrap_or_default();
                let seconds = u64::from_str_radix(ends, 16).unwrap_or(u64::MAX) / 100;
                leg(&fields) && fields[3] == ESTABLISHED && timer == KEEP_ALIVE && seconds <= 60
            });
            if is_probed {
                return;
            }
            assert!(Instant::now() < patience, "no keep-alive timer runs");
            tokio::task::yield_now().await;
        }
    }
}

"""Many runs at once: judged by several processes or a cluster, kept on disk, and compared with one another."""

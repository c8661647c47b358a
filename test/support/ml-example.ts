/** The mappings of the source document's example, as they stand there (S3, "Defining Sync for a Workload"). */
export const ML_MAPPINGS = [
  {
    containerPath: "/data/checkpoints",
    pattern: "*.pt",
    sinkPath: "checkpoints/",
    direction: "bidirectional",
    mode: "sync",
  },
  { containerPath: "/data/logs", pattern: "**/*.log", sinkPath: "logs/", direction: "upload", mode: "copy" },
  { containerPath: "/config", sinkPath: "config/", direction: "download", mode: "sync" },
];

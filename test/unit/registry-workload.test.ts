import { describe, expect, test } from "vitest";
import { storedWorkload, workloadReplacement, workloadSchema } from "../../src/registry/specs.ts";

const aWorkload = (more: object = {}) => ({ id: "demo", image: "sandbox", ...more });
/** Where something is wrong, and whether it is that it cannot be had. */
const wrong = (more: object): Record<string, "invalid" | "unsupported"> => {
  const issues = workloadSchema.safeParse(aWorkload(more)).error?.issues ?? [];
  return Object.fromEntries(
    issues.map((issue) => {
      const never = issue.code === "invalid_type" && issue.expected === "never";
      const path = issue.code === "unrecognized_keys" ? [...issue.path, ...issue.keys] : issue.path;
      return [`/${path.join("/")}`, never ? "unsupported" : "invalid"] as const;
    }),
  );
};

describe("a workload", () => {
  test("of S3's shape is taken, and shown with every default", () => {
    const spec = aWorkload({
      name: "Agent",
      volumes: {
        state: { containerPath: "/state", mode: "rw" },
        secrets: { containerPath: "/secrets", mode: "ro" },
        comm: { containerPath: "/comm", mode: "rw" },
      },
      environment: { STATE_DIR: "/state", WHO: `\${tenantId} of \${config.team.name}` },
      healthCheck: { command: ["agent", "--health"], intervalMs: 30_000, timeoutMs: 5_000, retries: 3 },
      resources: { tier: "basic" },
      security: { readOnlyRootFilesystem: false, runAsUser: 1000, networkMode: "bridge" },
      configSchema: { type: "object" },
    });
    expect(workloadSchema.parse(spec)).toMatchObject({
      ...spec,
      user: "1000",
      network: "open",
      port: 8080,
      ports: [{ port: 8080, protocol: "http" }],
      exclude: [],
      egress: [],
      selfService: false,
      start: "on-claim",
    });
  });

  test("keeps what later releases act on", () => {
    const spec = aWorkload({
      readiness: { path: "/healthz", expectJson: { ok: true } },
      healthCheck: {
        http: { path: "/healthz", expectJson: { ok: true } },
        intervalMs: 10_000,
        timeoutMs: 1_000,
        retries: 2,
      },
      preSave: ["sync"],
      exclude: ["*.log", "cache/**"],
      egress: [{ host: "api.example.com", allow: true }],
      lifecycle: { idleTimeoutMs: 60_000 },
      selfService: true,
      ports: [
        { port: 3000, name: "web", protocol: "http" },
        { port: 3001, protocol: "http" },
      ],
    });
    const parsed = workloadSchema.parse(spec);
    expect(parsed).toMatchObject({ ...spec, port: 3000 });
    expect(storedWorkload(JSON.stringify(parsed))).toEqual(parsed);
  });

  test("that is sent again as it came back is the same", () => {
    const security = { networkMode: "none", runAsUser: 1000 };
    const parsed = workloadSchema.parse(aWorkload({ port: 3000, security }));
    expect(workloadSchema.parse(parsed)).toEqual(parsed);
  });

  test.each([
    [{ volumes: { custom: [{ name: "x", containerPath: "/x", mode: "rw" }] } }, "/volumes/custom"],
    [{ volumes: { state: { containerPath: "/data", mode: "ro" } } }, "/volumes/state/mode"],
    [{ volumes: { secrets: { containerPath: "/data", mode: "rw" } } }, "/volumes/secrets/mode"],
    [{ security: { readOnlyRootFilesystem: true } }, "/security/readOnlyRootFilesystem"],
    [{ security: { networkMode: "host" } }, "/security/networkMode"],
    [{ security: { networkMode: "my-network" }, network: "none" }, "/security/networkMode"],
    [{ security: { networkMode: "constructor" }, network: "open" }, "/security/networkMode"],
    [{ security: { dropCapabilities: ["ALL"] } }, "/security/dropCapabilities"],
    [{ security: { privileged: true } }, "/security/privileged"],
    [{ dns: ["1.1.1.1"] }, "/dns"],
    [{ resources: { tier: "lite", memory: 512 } }, "/resources/memory"],
    [{ ports: [{ port: 53, protocol: "udp" }] }, "/ports/0/protocol"],
  ])("with %j is refused as unsupported at %s, and for nothing else", (more, pointer) => {
    expect(wrong(more)).toEqual({ [pointer]: "unsupported" });
  });

  test.each([
    [{ image: "docker.io/library/nginx:latest" }, "/image"],
    [{ port: 80, ports: [{ port: 81 }] }, "/port"],
    [{ ports: [] }, "/ports"],
    [{ ports: [{ port: 41_810 }] }, "/ports/0/port"],
    [{ ports: [{ port: 80 }, { port: 80 }] }, "/ports/1/port"],
    [
      {
        ports: [
          { port: 80, name: "a" },
          { port: 81, name: "a" },
        ],
      },
      "/ports/1/name",
    ],
    [{ healthCheck: { intervalMs: 5_000, timeoutMs: 5_000 } }, "/healthCheck/timeoutMs"],
    [{ healthCheck: { command: ["x"], http: { path: "/" } } }, "/healthCheck/http"],
    [{ healthCheck: { command: [] } }, "/healthCheck/command"],
    [{ readiness: { path: "healthz" } }, "/readiness/path"],
    [{ exclude: ["a[b"] }, "/exclude/0"],
    [{ egress: [{ host: "http://x.example" }] }, "/egress/0/host"],
    [{ egress: [{ host: "sink.internal" }] }, "/egress/0/host"],
    [{ egress: [{ host: "a.example" }, { host: "a.example", allow: false }] }, "/egress/1/host"],
    [{ egress: [{ host: "a.example", upstream: "x" }] }, "/egress/0/upstream"],
    [{ egress: [{ host: "a.example" }], network: "open" }, "/egress"],
    [{ security: { networkMode: "none" }, network: "open" }, "/security/networkMode"],
    [{ security: { runAsUser: 1000 }, user: "1001" }, "/security/runAsUser"],
    [{ security: { runAsUser: 0 } }, "/security/runAsUser"],
    [{ user: "00:1" }, "/user"],
    [{ lifecycle: { idleTimeoutMs: 1 } }, "/lifecycle/idleTimeoutMs"],
    [{ colour: 1 }, "/colour"],
  ])("with %j is refused at %s", (more, pointer) => {
    expect(wrong(more)).toEqual({ [pointer]: "invalid" });
  });

  test.each(["{TENANT}", "{tenantid}", "{config}", "{config.}", "{}", "{secrets.A}", "{HOME:-/}", "{x"])(
    "cannot use $%s in its environment",
    (name) => {
      const environment = { GOOD: "$HOME", BAD: `\${tenantId} $${name}` };
      expect(wrong({ environment })).toEqual({ "/environment/BAD": "invalid" });
    },
  );

  test("cannot have more than 64 KiB of environment", () => {
    const of = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`V${index}`, "x".repeat(8_000)]));
    expect(wrong({ environment: of(8) })).toEqual({});
    expect(wrong({ environment: of(9) })).toEqual({ "/environment": "invalid" });
  });

  test("is replaced by what says the same id, or none", () => {
    expect(workloadReplacement.safeParse({ image: "sandbox" }).success).toBe(true);
    expect(workloadReplacement.safeParse({ id: "No", image: "sandbox" }).success).toBe(false);
    expect(workloadReplacement.safeParse({ image: "sandbox", user: "root" }).success).toBe(false);
  });
});

import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig, type UserWorkspaceConfig } from "vitest/config";
import { prepareAssets } from "./scripts/stack/assets.ts";

export const unit: UserWorkspaceConfig = {
  test: { name: "unit", environment: "node", include: ["test/unit/**/*.test.ts"] },
};

export const workers: UserWorkspaceConfig = {
  plugins: [
    cloudflareTest(async () => {
      prepareAssets();
      return {
        wrangler: { configPath: "./wrangler.jsonc" },
        miniflare: {
          bindings: {
            ENVIRONMENT: "development",
            RUNTIME: "simulated",
            ADMIN_KEY: "test-admin-key-0123456789",
            SECRETS_KEY: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            SECRETS_KEY_PREVIOUS: "YmVmb3JlIGl0IHdhcyByb3RhdGVkLCAzMiBieXRlcyE=",
            TEST_MIGRATIONS: await readD1Migrations("migrations"),
          },
        },
      };
    }),
  ],
  test: {
    name: "workers",
    include: ["test/workers/**/*.test.ts"],
    setupFiles: ["test/support/migrate.ts"],
    globalSetup: ["test/support/s3-setup.ts"],
    testTimeout: 20_000,
    // Deliveries to D1 come within a second on a machine that has nothing else to do.
    expect: { poll: { timeout: 10_000 } },
  },
};

/**
 * `unit`: pure code in Node. `workers`: the whole Worker with its Durable Objects in workerd, on simulated containers
 * (the plugin has no real ones). `simulation`: the objects on a simulated platform, from seeds. `e2e`: `wrangler dev` from outside, on real containers.
 */
export default defineConfig({
  test: {
    projects: [
      unit,
      workers,
      {
        test: {
          name: "simulation",
          environment: "node",
          include: ["test/simulation/**/*.test.ts"],
          // Plain Node, with the hooks that let the code of `src` run in it.
          experimental: { viteModuleRunner: false },
          execArgv: ["--disable-warning=ExperimentalWarning", "--import", "./test/simulation/register.ts"],
          pool: "forks",
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "e2e",
          environment: "node",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/support/e2e-teardown.ts"],
          // One worker for all files, one after the other, so that they can share a stack (test/support/e2e-stack.ts).
          fileParallelism: false,
          maxWorkers: 1,
          isolate: false,
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
    ],
  },
});

import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/**
 * `unit`: pure code in Node. `workers`: the whole Worker with its Durable Objects in workerd, on simulated containers
 * (the plugin has no real ones). `e2e` on real containers is started by scripts/test.mjs.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: { name: "unit", environment: "node", include: ["test/unit/**/*.test.ts"] },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.jsonc" },
            miniflare: {
              bindings: {
                RUNTIME: "simulated",
                ADMIN_KEY: "test-admin-key-0123456789",
                SECRETS_KEY: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
                TEST_MIGRATIONS: await readD1Migrations("migrations"),
              },
            },
          })),
        ],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          setupFiles: ["test/support/migrate.ts"],
          testTimeout: 20_000,
        },
      },
    ],
  },
});

import { defineConfig } from "vitest/config";

/** The images themselves, without the Worker: real containers, started here. Run by `npm test -- images`. */
export default defineConfig({
  test: {
    name: "images",
    environment: "node",
    include: ["test/images/**/*.test.ts"],
    globalSetup: "test/images/support/setup.ts",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Containers of several files at once would measure each other.
    fileParallelism: false,
  },
});

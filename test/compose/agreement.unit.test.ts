/**
 * What is read from a file is what `docker compose config` says. test/golden/compose has cases (NAME.yaml) and what the library
 * inside the plugin, compose-go, makes of each (NAME.json), so that this needs neither of them. NAME.json is made as the plugin does
 * it: `cli.NewProjectOptions` with `WithDotEnv`, `WithConfigFileEnv`, `WithDefaultConfigPath`, `WithDefaultProfiles` and
 * `WithName`, `LoadProject`, `WithoutUnnecessaryResources`, `WithServicesEnvironmentResolved(true)`, `MarshalJSON`; the files lie in
 * /ROOT/shop, and only the names of a case are in the environment. official.test.ts asks the plugin itself, where there is one.
 */
import { expect, test } from "bun:test";
import { caseNames, goldenOf, ours, plain, storyOf } from "../support/compose-cases.ts";

for (const name of caseNames()) {
  test(name, async () => {
    const official = await goldenOf(name);
    const found = await ours(await storyOf(name));
    if (official.config === undefined) expect(found.error).toBeString();
    else expect(found.error ?? plain(found.config)).toEqual(plain(official.config));
  });
}

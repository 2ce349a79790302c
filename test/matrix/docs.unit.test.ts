import { expect, test } from "bun:test";
import { MATRIX_PAGE, matrixPage } from "../support/matrix-reference.ts";

/** The formatter aligns tables: only words are compared. */
const words = (text: string) => text.replaceAll(/[\s-]+/g, " ");

test("docs/matrix.md names the tests that there are", async () => {
  expect(words(await Bun.file(MATRIX_PAGE).text())).toBe(words(matrixPage()));
});

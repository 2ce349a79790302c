/**
 * `linkspan completion SHELL` prints a script; the script calls `linkspan complete -- WORDS…` at each TAB and reads
 * `value<TAB>description` lines and a last line `:DIRECTIVE` (the protocol of cobra and @bomb.sh/tab).
 */
import { Argument } from "commander";
import { script } from "@bomb.sh/tab";
import * as v from "valibot";
import { command } from "./command.ts";
import { suggest } from "./suggest.ts";
import { print } from "./terminal.ts";

const SHELLS = ["bash", "zsh", "fish"];

export const completion = command({
  define: (program) => program.addArgument(new Argument("<shell>", "the shell to print it for").choices(SHELLS)),
  examples: [
    ["source <(linkspan completion bash)", "for this bash"],
    ["linkspan completion bash > ~/.local/share/bash-completion/completions/linkspan", "for every bash"],
    ["linkspan completion zsh > ~/.zfunc/_linkspan", "for zsh, with ~/.zfunc in fpath"],
    ["linkspan completion fish > ~/.config/fish/completions/linkspan.fish", "for fish"],
  ],
  options: v.object({}),
  async run({ args: [shell = ""] }) {
    if (shell === "bash") print(BASH);
    else script(shell, "linkspan", "linkspan");
  },
});

/** Answers a TAB. Never fails: a completion that cannot help says nothing. */
export async function complete(argv: string[]): Promise<number> {
  const words = argv[0] === "--" ? argv.slice(1) : argv;
  try {
    const { values, directive } = await suggest(words);
    for (const { value, description } of values) print(`${value}\t${description}`);
    print(`:${directive}`);
  } catch {
    print(":0");
  }
  return 0;
}

/**
 * Our own for bash: the one of @bomb.sh/tab passes the words that are being typed through `eval`, which would run a
 * `$(…)` in them at a TAB, and it needs the package bash-completion. No `readonly`, so that it can be sourced again.
 */
const BASH = `# bash completion for linkspan
_linkspan() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line directive=0 values=()
  while IFS= read -r line; do
    case $line in
      :*) directive=\${line#:} ;;
      *) values+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(linkspan complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  if [ "$directive" = 0 ]; then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
    compopt -o filenames 2>/dev/null
    return
  fi
  for line in "\${values[@]}"; do
    case $line in "$cur"*) COMPREPLY+=("$line") ;; esac
  done
  if (( directive & 2 )); then compopt -o nospace 2>/dev/null; fi
}
complete -F _linkspan linkspan`;

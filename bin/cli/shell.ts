/** Scripts that let a shell ask `boilerhouse __complete` what may come next. */

const BASH = `# boilerhouse completion for bash: eval "$(boilerhouse completion bash)"
_boilerhouse() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _boilerhouse boilerhouse
`;

const ZSH = `# boilerhouse completion for zsh: eval "$(boilerhouse completion zsh)"
_boilerhouse() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  [[ -n "\${found[1]}" ]] && compadd -- "\${found[@]}" || _files
}
compdef _boilerhouse boilerhouse
`;

export const scriptOf = (shell: "bash" | "zsh"): string => (shell === "zsh" ? ZSH : BASH);

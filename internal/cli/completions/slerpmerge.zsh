#compdef slerpmerge
# zsh completion for slerpmerge. To use it, after compinit:
#   source <(slerpmerge completion zsh)
# or put it as _slerpmerge into a folder of $fpath.

_slerpmerge() {
    local -a lines found
    local kind line
    lines=("${(@f)$(${words[1]/#\~/$HOME} __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    kind=$lines[1]
    shift lines
    [[ $PREFIX == --*=* ]] && compset -P '--*='
    for line in $lines; do
        line=${line//:/\\:}
        found+=("${line/$'\t'/:}")
    done
    (( $#found )) && _describe 'slerpmerge' found
    case $kind in
    folders) _path_files -/ ;;
    models) _path_files -/; _path_files -g '*.(safetensors|bin|pt|pth)' ;;
    files) _path_files ;;
    esac
}
if [[ $funcstack[1] == _slerpmerge ]]; then
    _slerpmerge "$@"
else
    compdef _slerpmerge slerpmerge
fi

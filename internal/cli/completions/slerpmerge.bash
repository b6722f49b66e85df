# bash completion for slerpmerge. To use it:
#   source <(slerpmerge completion bash)
# or put it into a file where bash-completion looks:
#   slerpmerge completion bash >~/.local/share/bash-completion/completions/slerpmerge

_slerpmerge() {
    local words=() n=-1 i word lead cur kind line
    # bash cuts words at = and @ and : too; here they are whole again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((n >= 0 && i > 1)) && [[ $word == [=@:]* || ${COMP_WORDS[i - 1]} == [=@:] ]]; then
            words[n]+=$word
        else
            n=$((n + 1))
            words[n]=$word
        fi
    done
    cur=${words[n]}
    word=${COMP_WORDS[COMP_CWORD]}
    [[ $word == [=@:] ]] && word=
    lead=${cur%"$word"} # what bash does not count to the word at hand
    lead=${lead%@}      # but it puts @ in anew
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS= read -r line; do
            line=${line%%$'\t'*}
            [[ $lead == --*= ]] || line=${line#"$lead"}
            COMPREPLY+=("$line")
        done
    } < <("${COMP_WORDS[0]/#\~/$HOME}" __complete -- "${words[@]}" 2>/dev/null)
    case $kind in
    folders | models | files)
        while IFS= read -r line; do
            case $kind in
            models) [[ -d ${line/#\~/$HOME} || $line == *.safetensors || $line == *.bin || $line == *.pt || $line == *.pth ]] || continue ;;
            esac
            COMPREPLY+=("$line")
            compopt -o filenames 2>/dev/null # marks folders, and quotes what needs it
        done < <(if [[ $kind == folders ]]; then compgen -d -- "$word"; else compgen -f -- "$word"; fi)
        ;;
    esac
}
complete -F _slerpmerge slerpmerge

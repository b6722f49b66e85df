# fish completion for slerpmerge. To use it:
#   slerpmerge completion fish | source
# or put it into a file where fish looks:
#   slerpmerge completion fish >~/.config/fish/completions/slerpmerge.fish

function __slerpmerge_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    set -e words[1]
    set -l lines ($program __complete -- $words $token 2>/dev/null)
    set -l kind $lines[1]
    set -e lines[1]
    set -l lead (string match -r -- '^--[^=]+=' $token)
    for line in $lines
        printf '%s%s\n' "$lead" $line
    end
    set -l path (string replace -r -- '^--[^=]+=' '' $token)
    switch $kind
        case folders
            printf "$lead%s\n" (__fish_complete_directories "$path" '')
        case models
            printf "$lead%s\n" (__fish_complete_path "$path" '' | string match -r -- '^.*(?:/|\.safetensors|\.bin|\.pt|\.pth)(?=\t|$)')
        case files
            printf "$lead%s\n" (__fish_complete_path "$path" '')
    end
end
complete -c slerpmerge -f -a '(__slerpmerge_complete)'

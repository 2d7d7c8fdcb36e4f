# Shared by install, upgrade and uninstall: paths of the installation, how a release is built and switched. Sourced, never run.
#
#   /opt/youtu-edge/releases/N     one virtual environment per release; N is the time of its installation
#   /opt/youtu-edge/current        link to the running one, switched atomically
#   /opt/youtu-edge/previous       link to the one before, kept for `upgrade --back`
#   /usr/local/bin/youtu-edge      link to the current command
#   /usr/local/share/…             completion in bash and zsh
#   /etc/youtu-edge/*.yaml         configuration; never overwritten, new defaults go beside it as *.dist
#   /etc/systemd/system/youtu-edge.service, /etc/sysusers.d, /etc/tmpfiles.d
#   /var/lib/youtu-edge            models and data; `uninstall` keeps it

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

service=youtu-edge.service
dest= # set by --root: install below this directory, change nothing on the running system

set_paths() {
    opt=$dest/opt/youtu-edge
    etc=$dest/etc/youtu-edge
    units=$dest/etc/systemd/system
    board_file=$units/$service.d/50-board.conf
    sysusers_file=$dest/etc/sysusers.d/youtu-edge.conf
    tmpfiles_file=$dest/etc/tmpfiles.d/youtu-edge.conf
    command_link=$dest/usr/local/bin/youtu-edge
    completions=("$dest/usr/local/share/bash-completion/completions/youtu-edge" "$dest/usr/local/share/zsh/site-functions/_youtu-edge")
}

need_root() {
    [[ -n $dest || $EUID -eq 0 ]] || die "this needs root: sudo $0 $*"
}

# Whether systemd is running, not only installed (as in a container, a chroot, an image that is being built).
has_systemd() { [[ -z $dest && -d /run/systemd/system ]]; }

# The service cannot see /home and /root, so a Python there (pyenv, conda) cannot run it.
find_service_python() { # find_service_python [PYTHON]
    local name where
    for name in ${1:-/usr/bin/python3 /usr/local/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        where=$("$name" -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) and print(sys.base_prefix)' 2>/dev/null) || continue
        if [[ -n $where && $where/ != /@(home|root)/* ]]; then
            python=$name
            return 0
        fi
    done
    die "no Python 3.11 or newer with the venv module outside /home and /root${1:+: $1}; on Debian 12: apt-get install python3-venv"
}

release_of() { # release_of current|previous: its directory, or nothing
    local target
    target=$(readlink "$opt/$1" 2>/dev/null) && printf '%s\n' "$opt/$target"
}

link_release() { # link_release current|previous DIRECTORY: atomically, so that the link always exists
    ln -sfn "releases/$(basename "$2")" "$opt/.$1.new"
    mv -fT "$opt/.$1.new" "$opt/$1"
}

prune_releases() {
    local release
    for release in "$opt"/releases/*/; do
        release=${release%/}
        [[ $release == "$(release_of current)" || $release == "$(release_of previous)" ]] || rm -rf "$release"
    done
}

place() { # place FILE MODE: write stdin to FILE by an atomic rename
    mkdir -p "$(dirname "$1")"
    cat >"$1.part"
    chmod "$2" "$1.part"
    mv -f "$1.part" "$1"
}

render_unit() { # render_unit RELEASE: the unit for the site's configuration, on stdout; 78 if it is invalid
    local text
    text=$("$1/bin/python" -m youtu_edge render-unit --config "$etc/youtu-edge.yaml") || return
    printf '%s\n' "${text//"$etc"//etc/youtu-edge}"
}

switch_release() { # switch_release RELEASE: make it current, with its unit; does not touch the daemon
    local unit
    unit=$(render_unit "$1") || return
    printf '%s\n' "$unit" | place "$units/$service" 0644
    link_release current "$1"
    ! has_systemd || systemctl daemon-reload
}

version_of() { "$1/bin/python" -m youtu_edge --version 2>/dev/null || echo 'youtu-edge (does not run)'; }

restart_service() { # waits until the model answers; prints the log if it does not
    systemctl reset-failed "$service" 2>/dev/null
    systemctl restart "$service" && return
    journalctl -u "$service" -n 15 --no-pager -o cat >&2 || true
    return 1
}

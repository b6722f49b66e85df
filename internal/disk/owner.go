package disk

import (
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
)

// A ForeignError says that a file or folder is not ours alone, or is nothing
// that this program made. Owner is "" where it is ours.
type ForeignError struct {
	Path   string
	Owner  string
	Reason string // "belongs to nobody, and ...", "is a symbolic link"
}

func (e *ForeignError) Error() string { return e.Path + " " + e.Reason }

// belongs returns the error for what somebody else owns.
func belongs(path, owner string) error {
	return &ForeignError{Path: path, Owner: owner, Reason: "belongs to " + owner + ", not to the user of this process"}
}

// owners tells who owns a file, by the user's number; ok is false where files
// have no owners. It is ownerOf, or the function that a test gives.
type owners func(fs.FileInfo) (uid uint32, ok bool)

// OwnerName returns the name of the user who owns a file, or the number of one
// without a name; "" where files have no owners.
func OwnerName(fi fs.FileInfo) string { return owners(ownerOf).name(fi) }

func (o owners) name(fi fs.FileInfo) string {
	uid, ok := o(fi)
	if !ok {
		return ""
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return "user " + number
}

// Owned reports whether the effective user owns a file; true where files have no
// owners.
func Owned(fi fs.FileInfo) bool { return owners(ownerOf).ours(fi) }

func (o owners) ours(fi fs.FileInfo) bool {
	uid, ok := o(fi)
	return !ok || uid == effectiveUser()
}

// system reports whether a file is the administrator's.
func (o owners) system(fi fs.FileInfo) bool {
	uid, ok := o(fi)
	return !ok || uid == 0
}

func (o owners) same(a, b fs.FileInfo) bool {
	x, ok1 := o(a)
	y, ok2 := o(b)
	return ok1 && ok2 && x == y
}

// other returns the name of the owner if that is somebody else.
func (o owners) other(fi fs.FileInfo) string {
	if o.ours(fi) {
		return ""
	}
	return o.name(fi)
}

// by says who made something that we did not.
func (o owners) by(fi fs.FileInfo) string {
	if owner := o.other(fi); owner != "" {
		return " that belongs to " + owner
	}
	return ""
}

// A Trust says which properties a file system reports correctly of the files
// that we make in it.
type Trust struct {
	Owners bool // they are ours
	Modes  bool // others can't write to them if we say so
}

// Trust makes a file to see what the file system says of it. Network file
// systems that map users, and those that know no users, say something else than
// what is asked for.
func (d *Folder) Trust() (Trust, error) {
	if d.up != nil {
		return d.up.Trust()
	}
	if d.trust != nil {
		return *d.trust, nil
	}
	name := tempName("probe")
	f, err := d.Create(name, 0o600)
	if err != nil {
		return Trust{}, fmt.Errorf("finding out who owns new files: %w", err)
	}
	defer d.root.Remove(name)
	defer f.Close()
	fi, err := f.Stat() // by the descriptor: the name may be another file now
	if err != nil {
		return Trust{}, err
	}
	d.trust = &Trust{Owners: d.owners.ours(fi), Modes: !othersWrite(fi)}
	return *d.trust, nil
}

// Strange reports whether the file system is known to give files that we make to
// somebody else.
func (d *Folder) Strange() bool { return d.trust != nil && !d.trust.Owners }

// Vet makes sure that a file or folder called name, of which fi was read by its
// descriptor, is ours alone: our effective user owns it, others can't write to
// it, and a file has one link. Otherwise the error is a *ForeignError.
// Properties that the file system does not report correctly are ignored, and so
// are modes in a private folder.
func (d *Folder) Vet(name string, fi fs.FileInfo) error {
	path := d.Path(name)
	switch mode := fi.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return &ForeignError{Path: path, Owner: d.owners.other(fi), Reason: "is a symbolic link" + d.owners.by(fi)}
	case !mode.IsRegular() && !mode.IsDir():
		return &ForeignError{Path: path, Owner: d.owners.other(fi), Reason: "is " + kindOf(mode) + d.owners.by(fi)}
	}
	owned, open := d.owners.ours(fi), othersWrite(fi) && !d.Private()
	if !owned || open {
		trust, err := d.Trust()
		if err != nil { // no file can be made here, so nothing contradicts the report
			trust = Trust{Owners: true, Modes: true}
		}
		switch {
		case !owned && trust.Owners:
			return belongs(path, d.owners.name(fi))
		case open && trust.Modes && trust.Owners:
			return &ForeignError{Path: path, Reason: "can be written to by other users"}
		}
	}
	if n := linksOf(fi); fi.Mode().IsRegular() && n > 1 {
		return &ForeignError{Path: path, Reason: fmt.Sprintf("has %d links, so it is reached by another name too", n)}
	}
	return nil
}

// VetOwner is Vet without the check of write permissions, for a file that is to
// be removed.
func (d *Folder) VetOwner(name string, fi fs.FileInfo) error {
	return d.Vet(name, closed{fi})
}

// VetPath makes sure that the effective user or the administrator owns the folder
// at a path; another's is a *ForeignError, and so is one that is reached through
// another's link (Resolve).
func VetPath(path string) error {
	real, err := Resolve(path)
	if err != nil {
		return err
	}
	up, err := OpenFolder(filepath.Dir(real))
	if err != nil {
		return err
	}
	defer up.Close()
	name := filepath.Base(real)
	fi, err := up.Lstat(name)
	if err != nil || fi.IsDir() && up.owners.system(fi) {
		return err
	}
	return up.VetOwner(name, fi)
}

// closed is a file that others can't write to.
type closed struct{ fs.FileInfo }

func (c closed) Mode() fs.FileMode { return c.FileInfo.Mode() &^ 0o022 }

// kindOf names a file that is neither regular nor a link.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a regular file"
}

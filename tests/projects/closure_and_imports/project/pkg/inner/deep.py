from ..helper import x
